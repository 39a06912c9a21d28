"""Asks /livez again and again, from a process of its own, until its input ends; then prints how long it took."""

import json
import sys
import threading
import time

import httpx

INTERVAL = 0.02


def main() -> None:
    """Prints p50 and p99 in seconds, how often it asked, and how often that failed."""
    address = sys.argv[1]
    ended = threading.Event()

    def wait_for_the_end() -> None:
        sys.stdin.read()
        ended.set()

    threading.Thread(target=wait_for_the_end, daemon=True).start()
    latencies: list[float] = []
    failed = 0
    with httpx.Client(base_url=address, timeout=30, trust_env=False) as client:
        while not ended.wait(INTERVAL):
            began = time.monotonic()
            try:
                failed += client.get("/livez").status_code != 200
            except httpx.HTTPError:
                failed += 1
            latencies.append(time.monotonic() - began)
    latencies.sort()
    found = {f"p{share}": latencies[min(len(latencies) - 1, len(latencies) * share // 100)] for share in (50, 99)}
    print(json.dumps({**found, "count": len(latencies), "failed": failed}))


if __name__ == "__main__":
    main()
