import asyncio, sys, tempfile, os
from pathlib import Path
from tests.bench import load, accounting
from tests.bench.ground import ground
from tests.bench.contender import *
from tests.bench.ours import ours, profiled
from tests.bench.rival import rival

async def go(what, count, customers):
    d = Path(tempfile.mkdtemp(prefix="bench-")); d.chmod(0o755)
    if os.environ.get("SPY"): profiled(os.environ["SPY"].split(","), Path("/tmp"))
    with ground(d) as g:
        for w in what.split(","):
            ctx = {"ours": ours, "ref": rival}[w]
            async with ctx(g, d, customers) as c:
                ev = Events(g, customers)
                await ev.send(c.topic, 500); await until(c, 500)
                f = await backlog(c, ev, count if w == "ours" else count // 10)
                print(w, f"{f.rate:.0f}/s cpu {f.total_cpu:.0f} us", {k: round(v) for k, v in f.cpu.items()}, f"mem {f.memory>>20} MiB bytes {f.bytes:.0f} load {f.load:.1f}", flush=True)
                if w == "ours" and os.environ.get("UNW"):
                    f = await unwanted(c, ev, 50000)
                    print("unwanted", f"{f.rate:.0f}/s cpu {f.total_cpu:.1f} us", {k: round(v,1) for k, v in f.cpu.items()})
                if os.environ.get("SPY"):
                    import signal
                    for n, p in c.processes.items():
                        if n in os.environ["SPY"]: 
                            for k in accounting.children(p.running.pid): os.kill(k, signal.SIGTERM)
                    await asyncio.sleep(4)
        await g.bus.close()
    print(d)
asyncio.run(go(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
