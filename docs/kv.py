#!/usr/bin/env python3
"""Writes the measured tables of docs/kv.md: what each kind of cache costs the models in fixtures/models."""
import argparse
import json
import pathlib
import subprocess

# Keys and values, of which each may be rotated.
KINDS = ["f16", "bf16", "q8_0", "q5_1", "q5_0", "q4_1", "q4_0", "iq4_nl", ("q8_0", "q4_0"), ("q4_0", "q8_0"),
         "rotated q8_0", "rotated q5_0", "rotated q4_1", "rotated q4_0", "rotated iq4_nl",
         "turboquant_mse4", "turboquant_mse3", "turboquant_mse2", "turboquant_prod4", "turboquant_prod3", "turboquant_rvq2", "turboquant_rvq1",
         "polar", ("qjl", "q8_0")]

ROTATED = "rotated "
BEGIN, END = "<!-- begin measured -->", "<!-- end measured -->"


def measure(kquant, model, text, chunks, keys, values):
    command = [kquant, "perplexity", "--model", model, "--against", model, "--file", text, "--ctx", "256", "--chunks", str(chunks),
               "--activations", "f32", "--kv-k", keys.removeprefix(ROTATED), "--kv-v", values.removeprefix(ROTATED), "--json"]
    if keys.startswith(ROTATED):
        command.append("--kv-rotate")
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def sizes(kquant):
    """Bits of a number in keys and in values of heads of 64, scales included."""
    command = [kquant, "kv", "bench", "--head-size", "64", "--tokens", "16", "--rounds", "0", "--json"]
    kinds = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)["kinds"]
    return {kind["name"]: (kind["key_bits"], kind["value_bits"]) for kind in kinds}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--text", required=True, help="held-out text")
    parser.add_argument("--chunks", type=int, default=32, help="windows of 256 tokens")
    parser.add_argument("--kquant", default="artifacts/bin/KQuant.Cli/release/kquant")
    arguments = parser.parse_args()
    lines, bits = [], sizes(arguments.kquant)
    for name in ("tiny-dense", "tiny-moe"):
        lines += [f"### {name}", "", "| keys | values | bits per number | perplexity | mean KLD | same top token |", "|---|---|---:|---:|---:|---:|"]
        for kind in KINDS:
            keys, values = kind if isinstance(kind, tuple) else (kind, kind.replace("_prod", "_mse"))
            found = measure(arguments.kquant, f"fixtures/models/{name}", arguments.text, arguments.chunks, keys, values)
            other = found["comparison"]
            lines.append(f"| {keys} | {values} | {(bits[keys][0] + bits[values][1]) / 2:g} | {found['perplexity']:.4f} | {other['mean_divergence']:.6f} | {100 * other['same_top']:.2f}% |")
        lines += ["", f"In f32: perplexity {other['perplexity']:.4f}.", ""]
    page = pathlib.Path(__file__).with_name("kv.md")
    text = page.read_text()
    page.write_text(text[:text.index(BEGIN) + len(BEGIN)] + "\n\n" + "\n".join(lines) + "\n" + text[text.index(END):])


if __name__ == "__main__":
    main()
