# The image of the shepherd, the retraining controller: `make shepherd-image`, in the project's folder.
#
# Packages are installed in a stage of their own, as in the Bento's image (Dockerfile.j2), so that the installer is not
# in the image. Only this image has the libraries of training, such as TensorFlow and scikit-learn.
FROM python:3.11-slim AS build
COPY requirements/uv.txt requirements/train.txt /requirements/
RUN pip install --no-cache-dir --require-hashes --requirement /requirements/uv.txt && \
    uv venv --python python3 /app/.venv && \
    VIRTUAL_ENV=/app/.venv uv pip install --no-cache --compile-bytecode --require-hashes -r /requirements/train.txt && \
    cd /app/.venv/lib/python3.*/site-packages && \
    rm -r tensorflow/include sqlalchemy/testing
COPY . /marmita
RUN rm -r /marmita/requirements && /app/.venv/bin/python -m compileall -q /marmita && chmod -R a+rX /marmita

FROM python:3.11-slim
ENV LANG=C.UTF-8 LC_ALL=C.UTF-8 PYTHONUNBUFFERED=1
# The same user as in the Bento's image, which reads the models that this one writes. New volumes at /store and /datasets
# get their owner from the image.
RUN groupadd --gid 1034 bentoml && useradd --uid 1034 --gid 1034 --no-create-home --home-dir /tmp bentoml && \
    mkdir --parents /store/models /datasets && chown -R 1034:1034 /store /datasets
COPY --from=build /app/.venv /app/.venv
COPY --from=build /marmita /marmita
# With a read-only root, only /tmp and the store are writable. HOME is in /tmp for the caches of libraries.
ENV PATH="/app/.venv/bin:$PATH" HOME=/tmp BENTOML_HOME=/store BENTOML_DO_NOT_TRACK=True
WORKDIR /marmita
USER 1034:1034
ENTRYPOINT ["python", "-m", "marmita", "shepherd"]
