"""The upper bound without HTTP: the model called in a loop.

It reads tasks as lines of JSON (batches and a duration), and writes the figures of each as a line of JSON.
"""

import json
import sys
import time
from itertools import cycle

import numpy as np
import onnxruntime

from benchmarks.contenders.rows import INPUT, OUTPUTS


def main() -> None:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(sys.argv[1], options, providers=["CPUExecutionProvider"])
    for line in sys.stdin:
        task = json.loads(line)
        batches = [np.array(rows, dtype=np.float32) for rows in task["batches"]]
        latencies = []
        start, cpu = time.perf_counter(), time.process_time()
        now = start
        for batch in cycle(batches):
            session.run(OUTPUTS, {INPUT: batch})
            before, now = now, time.perf_counter()
            latencies.append(now - before)
            if now - start >= task["seconds"]:
                break
        figures = {"seconds": now - start, "cpu_seconds": time.process_time() - cpu, "latencies": latencies}
        print(json.dumps(figures), flush=True)


if __name__ == "__main__":
    main()
