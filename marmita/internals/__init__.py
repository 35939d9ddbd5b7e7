"""The only modules that touch private names of other packages."""
