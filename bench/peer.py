"""auto_LiRPA beside BoundFlow: where it is, and its bounds on a box. How to get it: bench/README.md."""
import collections
import os

import support

METHODS = {"ibp": "IBP", "crown-ibp": "CROWN-IBP", "crown": "CROWN", "alpha-crown": "CROWN-Optimized"}

Peer = collections.namedtuple("Peer", "python script package")


def find():
    """The peer, or a sentence saying why there is none."""
    python = os.environ.get("BOUNDFLOW_PEER_PYTHON")
    package = os.environ.get("AUTO_LIRPA")
    script = os.environ.get("BOUNDFLOW_PEER_SCRIPT") or os.path.join(support.ROOT, "..", "shared", "tools",
                                                                     "lirpa_bounds.py")
    if not python:
        return "BOUNDFLOW_PEER_PYTHON is not set"
    if not package or not os.path.isdir(os.path.join(package, "auto_LiRPA")):
        return "AUTO_LIRPA does not name the folder that holds the package auto_LiRPA"
    if not os.path.isfile(script):
        return f"no {script} (BOUNDFLOW_PEER_SCRIPT)"
    found = Peer(python, os.path.abspath(script), os.path.abspath(package))
    try:
        support.run_json([python, "-c", "import onnx2pytorch, torch; print('{}')"], timeout=120)
    except support.Failed as error:
        return f"its interpreter does not work: {error}"
    return found


def alpha_options(fixed, conv):
    """Twenty iterations at the rate that ours takes; on convolutions the faster of its two settings."""
    return (["--iters", "20", "--lr", "0.5"] + ["--fix-interm"] * fixed +
            ["--bound-opts", '{"use_full_conv_alpha": false}'] * conv)


def bounds(peer, model, box, method, *extra, repeats=1, warmup=1, budget=0.0, timeout=1800):
    """(answer, seconds) of the peer, one thread, float32 unless |extra| says otherwise. Seconds are the fastest call's, of
    the wall clock or of the processor, whichever is less: other processes do not count against the peer."""
    env = dict(support.single_thread_environment(), AUTO_LIRPA=peer.package)
    answer = support.run_json(
        [peer.python, "-W", "ignore", peer.script, "--onnx", model, *box, "--method", METHODS[method], "--threads", "1",
         "--repeats", str(repeats), "--warmup", str(warmup), "--min-time", str(budget), "--quiet", *extra],
        env=env, timeout=timeout)
    return answer, min(answer["min_s"], answer["min_cpu_s"])
