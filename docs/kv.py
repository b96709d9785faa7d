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

# Bits of a number in heads of 64, scales included.
BITS = {"f16": 16, "bf16": 16, "q8_0": 8.5, "q5_1": 6, "q5_0": 5.5, "q4_1": 5, "q4_0": 4.5, "iq4_nl": 4.5,
        "turboquant_mse4": 4.25, "turboquant_mse3": 3.25, "turboquant_mse2": 2.25, "turboquant_prod4": 4.5, "turboquant_prod3": 3.5,
        "turboquant_rvq2": 4.25, "turboquant_rvq1": 2.25, "polar": 3.875, "qjl": 1.25}
ROTATED = "rotated "
BEGIN, END = "<!-- begin measured -->", "<!-- end measured -->"


def measure(kquant, model, text, chunks, keys, values):
    command = [kquant, "perplexity", "--model", model, "--against", model, "--file", text, "--ctx", "256", "--chunks", str(chunks),
               "--activations", "f32", "--kv-k", keys.removeprefix(ROTATED), "--kv-v", values.removeprefix(ROTATED), "--json"]
    if keys.startswith(ROTATED):
        command.append("--kv-rotate")
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--text", required=True, help="held-out text")
    parser.add_argument("--chunks", type=int, default=32, help="windows of 256 tokens")
    parser.add_argument("--kquant", default="artifacts/bin/KQuant.Cli/release/kquant")
    arguments = parser.parse_args()
    lines = []
    for name in ("tiny-dense", "tiny-moe"):
        lines += [f"### {name}", "", "| keys | values | bits per number | perplexity | mean KLD | same top token |", "|---|---|---:|---:|---:|---:|"]
        for kind in KINDS:
            keys, values = kind if isinstance(kind, tuple) else (kind, kind.replace("_prod", "_mse"))
            found = measure(arguments.kquant, f"fixtures/models/{name}", arguments.text, arguments.chunks, keys, values)
            other = found["comparison"]
            bits = sum(BITS[stored.removeprefix(ROTATED)] for stored in (keys, values)) / 2
            lines.append(f"| {keys} | {values} | {bits:g} | {found['perplexity']:.4f} | {other['mean_divergence']:.6f} | {100 * other['same_top']:.2f}% |")
        lines += ["", f"In f32: perplexity {other['perplexity']:.4f}.", ""]
    page = pathlib.Path(__file__).with_name("kv.md")
    text = page.read_text()
    page.write_text(text[:text.index(BEGIN) + len(BEGIN)] + "\n\n" + "\n".join(lines) + "\n" + text[text.index(END):])


if __name__ == "__main__":
    main()
