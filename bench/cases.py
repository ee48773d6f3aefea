"""The networks and boxes that are measured, and what is aimed at on them."""
import collections
import csv
import os

import support

# kind: mlp, cnn or resnet; box: options that boundflow and the peer's script both take
Case = collections.namedtuple("Case", "name kind model box")

# name: how many times as fast as auto_LiRPA CROWN is to be; the other methods: below
CROWN_AIMS = {
    "acasxu": 30, "mlp 6x100": 8, "mnist_fc 256x4": 2, "mlp 6x512": 1.5, "oval21 base": 8, "oval21 wide": 8,
    "oval21 deep": 8, "collins_rul small": 8, "collins_rul full": 8, "malbeware linear-25": 8, "malbeware 4-25": 8,
    "resnet_2b": 8, "sri_resnet": 8,
}
IBP_AIM = 20
ALPHA_AIMS = {"acasxu": 10, "mlp 6x100": 10, "oval21 deep": 10, "resnet_2b": 10, "mlp 6x512": 2}
ALPHA_FIXED_AIM = 20
MEMORY_AIM = 4  # the peer's growth over our workspace, CROWN, networks with convolutions

# name, kind, family's folder, network; the box is that of the first property listed for the network
PUBLIC = [
    ("acasxu", "mlp", "acasxu", "ACASXU_run2a_1_1_batch_2000"),
    ("mnist_fc 256x2", "mlp", "mnist_fc", "mnist-net_256x2"),
    ("mnist_fc 256x4", "mlp", "mnist_fc", "mnist-net_256x4"),
    ("eran sigmoid 6x200", "mlp", "eran", "ffnnSIGMOID__Point_6x200"),
    ("oval21 base", "cnn", "oval21", "cifar_base_kw"),
    ("oval21 wide", "cnn", "oval21", "cifar_wide_kw"),
    ("oval21 deep", "cnn", "oval21", "cifar_deep_kw"),
    ("collins_rul small", "cnn", "collins_rul_cnn", "NN_rul_small_window_20"),
    ("collins_rul full", "cnn", "collins_rul_cnn", "NN_rul_full_window_20"),
    ("malbeware linear-25", "mlp", "malbeware", "malware_malimg_family_scaled_linear-25"),
    ("malbeware 4-25", "cnn", "malbeware", "malware_malimg_family_scaled_4-25"),
    ("resnet_2b", "resnet", "cifar10_resnet", "resnet_2b"),
    ("sri_resnet", "resnet", "sri_resnet_a", "resnet_3b2_bn_mixup_adv_4.0_bs128_lr-1"),
]
# name, kind, network of models/, property: boxes that leave neurons unstable
OWN = [
    ("digits_mlp", "mlp", "digits_mlp", "digits_mlp_robust_eps0.03"),
    ("digits_cnn_permute", "cnn", "digits_cnn_permute", "digits_cnn_permute_robust_eps0.015"),
    ("digits_resnet", "resnet", "digits_resnet", "digits_resnet_robust_eps0.01"),
    ("rram_small", "mlp", "rram_small", "rram_small_robust_eps0.02"),
]
RANDOM_WIDTHS = (100, 512)  # of the five hidden layers; 784 inputs, 10 outputs


def families():
    """(family, folder, folder of its networks) of our models and of all public data that is here."""
    found = [("models", os.path.join(support.ROOT, "models"), os.path.join(support.ROOT, "models"))]
    data = support.data_dir()
    base = os.path.join(data, "vnncomp") if data else None
    for name in sorted(os.listdir(base)) if base else []:
        found.append((name, os.path.join(base, name), os.path.join(base, name, "onnx")))
    return found


def first_properties(folder):
    """{file name of a network: path of its first property}, from a folder's instances.csv."""
    found = {}
    path = os.path.join(folder, "instances.csv")
    if os.path.isfile(path):
        with open(path, encoding="utf-8", newline="") as text:
            for row in csv.reader(text):
                if len(row) >= 2:
                    prop = os.path.join(folder, row[1].strip())
                    found.setdefault(os.path.basename(row[0].strip()), prop if os.path.isfile(prop) else prop + ".gz")
    return found


def make_mlp(width, folder):
    """(network, centre): a random relu network in |folder|, the same ones every time (He's initialisation)."""
    import numpy  # not needed by the rest
    import onnx
    from onnx import TensorProto, helper, numpy_helper
    model, centre = (os.path.join(folder, f"6x{width}{end}") for end in (".onnx", ".npy"))
    random, nodes, weights, value, inputs = numpy.random.default_rng(0), [], [], "x", 784
    for layer in range(6):
        outputs = width if layer < 5 else 10
        matrix = random.standard_normal((outputs, inputs)) * numpy.sqrt(2 / inputs)
        bias = random.standard_normal(outputs) * 0.01
        weights += [numpy_helper.from_array(array.astype(numpy.float32), f"{name}{layer}")
                    for name, array in (("w", matrix), ("b", bias))]
        nodes.append(helper.make_node("Gemm", [value, f"w{layer}", f"b{layer}"], [f"y{layer}"], transB=1))
        value, inputs = f"y{layer}", outputs
        if layer < 5:
            nodes.append(helper.make_node("Relu", [value], [f"r{layer}"]))
            value = f"r{layer}"
    graph = helper.make_graph(nodes, "mlp", [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 784])],
                              [helper.make_tensor_value_info(value, TensorProto.FLOAT, [1, 10])], weights)
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)])
    made.ir_version = 8
    os.makedirs(folder, exist_ok=True)
    onnx.save(made, model)
    numpy.save(centre, numpy.random.default_rng(1).uniform(0, 1, 784).astype(numpy.float32))
    return model, centre


def find_public():
    """Public cases, and sentences about those that are missing."""
    data = support.data_dir()
    if not data:
        return [], ["the public networks (no BOUNDFLOW_DATA, no ../shared/data)"]
    found, missing = [], []
    for name, kind, family, network in PUBLIC:
        folder = os.path.join(data, "vnncomp", family)
        model = os.path.join(folder, "onnx", network + ".onnx")
        prop = first_properties(folder).get(network + ".onnx", "")
        if os.path.isfile(model) and os.path.isfile(prop):
            found.append(Case(name, kind, model, ["--vnnlib", prop]))
        else:
            missing.append(f"{name} (no {model} with a property)")
    return found, missing


def find_random(folder):
    """Random networks, which are written to |folder|."""
    found = []
    for width in RANDOM_WIDTHS:
        try:
            model, centre = make_mlp(width, folder)
        except ImportError as error:
            return found, [f"mlp 6x{width} ({error}; scripts/setup.sh test)"]
        found.append(Case(f"mlp 6x{width}", "mlp", model, ["--center", centre, "--eps", "0.01"]))
    return found, []


def find(names, folder):
    """(cases of these |names|, in this order, sentences about missing ones); random networks go to |folder|."""
    own = os.path.join(support.ROOT, "models")
    found = [Case(name, kind, os.path.join(own, model + ".onnx"),
                  ["--vnnlib", os.path.join(own, "vnnlib", prop + ".vnnlib")]) for name, kind, model, prop in OWN]
    cases, missing = find_public()
    found += cases
    if any(name.startswith("mlp ") for name in names):
        cases, more = find_random(folder)
        found, missing = found + cases, missing + more
    known = {case.name: case for case in found}
    return [known[name] for name in names if name in known], missing
