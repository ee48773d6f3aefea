"""One thread against two on the same boxes, CROWN, in turn."""
import cases
import support

TITLE = "Two threads against one"
LONG, AIM, NO_SLOWER = 10e-3, 1.8, 0.95  # from LONG seconds on AIM times as fast; below not slower, but for noise


def measure(run):
    if support.machine()["cores"] < 2:
        run.skip("threads (one core)")
        return None
    found, _ = cases.find(("acasxu", "oval21 base") if run.quick else tuple(cases.CROWN_AIMS), run.nets)
    rows = []
    for case in [case for case in found if run.wants("threads", case.name)]:
        run.note("threads", case.name)
        sides = support.in_turn(run.rounds, {
            count: support.bound_side(run.binary, case.model, case.box, "crown", run.seconds, "--threads", count,
                                      clock=support.wall) for count in ("1", "2")})
        one, two = sides["1"], sides["2"]
        if one.error or two.error:
            run.skip(f"threads {case.name} ({one.error or two.error})")
            continue
        row = {"case": f"{case.name} 2 threads", "network": case.name, "one_s": one.seconds, "s": two.seconds,
               "samples": two.samples, "speedup": one.seconds / two.seconds}
        support.aim(row, "speedup", ">=", AIM if row["one_s"] >= LONG else NO_SLOWER)
        rows.append(row)
    return {"rows": rows, "load": support.machine()["load"][0], "cores": support.machine()["cores"]}


def tables(found):
    yield (f"CROWN, wall clock; load {found['load']} on {found['cores']} cores: two threads need cores that are free", ["network", "one ms", "two ms", "times as fast"],
           [[row["network"], support.milliseconds(row["one_s"]), support.milliseconds(row["s"]),
             support.judged(row, "speedup", "{:.2f}")] for row in found["rows"]])
