"""Asks /livez of each service again and again, from a process of its own, until its input ends; then prints how long it
took.
"""

import json
import sys
import threading
import time

import httpx

INTERVAL = 0.02


def main() -> None:
    """Takes {service: address}. Prints for each p50 and p99 in seconds, how often it asked, how often that failed."""
    addresses: dict[str, str] = json.loads(sys.argv[1])
    ended = threading.Event()

    def wait_for_the_end() -> None:
        sys.stdin.read()
        ended.set()

    threading.Thread(target=wait_for_the_end, daemon=True).start()
    latencies: dict[str, list[float]] = {name: [] for name in addresses}
    failed = dict.fromkeys(addresses, 0)
    with httpx.Client(timeout=30, trust_env=False) as client:
        while not ended.wait(INTERVAL):
            for name, address in addresses.items():
                began = time.monotonic()
                try:
                    failed[name] += client.get(f"{address}/livez").status_code != 200
                except httpx.HTTPError:
                    failed[name] += 1
                latencies[name].append(time.monotonic() - began)
    print(json.dumps({name: {**summary(latencies[name]), "failed": failed[name]} for name in addresses}))


def summary(latencies: list[float]) -> dict[str, float]:
    """p50, p99 and the count."""
    ordered = sorted(latencies)
    shares = {f"p{share}": ordered[min(len(ordered) - 1, len(ordered) * share // 100)] for share in (50, 99)}
    return {**shares, "count": len(ordered)}


if __name__ == "__main__":
    main()
