import asyncio, sys, tempfile, os, subprocess
from pathlib import Path
from tests.bench import load, accounting
from tests.bench.ground import ground
from tests.bench.contender import *
from tests.bench.ours import ours
from tests.bench.rival import rival

async def go(what, count, customers):
    d = Path(tempfile.mkdtemp(prefix="bench-")); d.chmod(0o755)
    with ground(d) as g:
        for w in what.split(","):
            ctx = {"ours": ours, "ref": rival}[w]
            async with ctx(g, d, customers) as c:
                print("up", flush=True)
                ev = Events(g, customers)
                await ev.send(c.topic, 500); print("sent", flush=True)
                for _ in range(60):
                    n = await c.handed_over()
                    if n >= 500: break
                    if _ % 5 == 0 and w == "ours": print(n, await c.read_up_to(), flush=True)
                    await asyncio.sleep(1)
                else: return
                print("warm", flush=True)
                spies = []
                if w == "ours":
                    for n in os.environ.get("SPY", "").split(","):
                        if n: spies.append(subprocess.Popen([os.environ["PY_SPY"], "record", "-p", str(c.processes[n].running.pid), "-d", os.environ.get("D", "20"), "-f", "raw", "-r", "100", "-o", f"/tmp/spy.{n}.txt"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
                f = await backlog(c, ev, count if w == "ours" else count // 10)
                print(w, f"{f.rate:.0f}/s cpu {f.total_cpu:.0f} us", {k: round(v) for k, v in f.cpu.items()}, f"mem {f.memory>>20} MiB bytes {f.bytes:.0f} load {f.load:.1f}", flush=True)
                if w == "ours" and os.environ.get("UNW"):
                    f = await unwanted(c, ev, 50000)
                    print("unwanted", f"{f.rate:.0f}/s cpu {f.total_cpu:.1f} us", {k: round(v,1) for k, v in f.cpu.items()})
                for s in spies: s.wait()
        await g.bus.close()
    print(d)
asyncio.run(go(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
