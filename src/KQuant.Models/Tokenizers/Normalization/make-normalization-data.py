"""Writes normalization-data.bin from the ICU library of the machine: python3 make-normalization-data.py [libicuuc.so.72]

Layout, all numbers LEB128: the number of runs of one combining class, then (gap to the previous run's end, length, class) for each; the number
of decompositions, then (gap to the previous code point, flags, length, code points) for each. Flag 1: compatibility only; flag 2: never
composed again. Hangul syllables are left out: they follow a formula. So are characters newer than Unicode 9.0: the official tokenizers have
the tables of that version, and a model knows text as its tokenizer showed it.
"""
import ctypes
import sys

icu = ctypes.CDLL(sys.argv[1] if len(sys.argv) > 1 else "libicuuc.so.72")
suffix = "_" + (sys.argv[1] if len(sys.argv) > 1 else "libicuuc.so.72").rsplit(".", 1)[1]
error = ctypes.c_int(0)


def function(name, result, *arguments):
    found = getattr(icu, name + suffix)
    found.restype, found.argtypes = result, list(arguments)
    return found


pointer = ctypes.c_void_p
nfc = function("unorm2_getNFCInstance", pointer, pointer)(ctypes.byref(error))
nfkc = function("unorm2_getNFKCInstance", pointer, pointer)(ctypes.byref(error))
raw = function("unorm2_getRawDecomposition", ctypes.c_int, pointer, ctypes.c_int, pointer, ctypes.c_int, pointer)
combining = function("u_getCombiningClass", ctypes.c_uint8, ctypes.c_int)
age = function("u_charAge", None, ctypes.c_int, pointer)
compose = function("unorm2_composePair", ctypes.c_int, pointer, ctypes.c_int, ctypes.c_int)


def decomposition(form, code_point):
    buffer = (ctypes.c_uint16 * 64)()
    status = ctypes.c_int(0)
    length = raw(form, code_point, buffer, 64, ctypes.byref(status))
    return None if length < 0 else [ord(c) for c in bytes(buffer)[: 2 * length].decode("utf-16-le")]


def is_known(code_point):
    version = (ctypes.c_uint8 * 4)()
    age(code_point, version)
    return (1, 0) <= tuple(version)[:2] <= (9, 0)


def number(value):
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)


out = bytearray()
runs, decompositions = [], []
for code_point in range(0x110000):
    if 0xD800 <= code_point < 0xE000 or not is_known(code_point):
        continue
    if value := combining(code_point):
        if runs and runs[-1][0] + runs[-1][1] == code_point and runs[-1][2] == value:
            runs[-1][1] += 1
        else:
            runs.append([code_point, 1, value])
    if 0xAC00 <= code_point <= 0xD7A3:
        continue
    canonical, parts = decomposition(nfc, code_point), decomposition(nfkc, code_point)
    if canonical:
        excluded = len(canonical) != 2 or compose(nfc, *canonical) != code_point
        decompositions.append((code_point, 2 if excluded else 0, canonical))
    elif parts:
        decompositions.append((code_point, 1, parts))
number(len(runs))
at = 0
for start, length, value in runs:
    number(start - at), number(length), number(value)
    at = start + length
number(len(decompositions))
at = 0
for code_point, flags, parts in decompositions:
    number(code_point - at), number(flags), number(len(parts))
    for part in parts:
        number(part)
    at = code_point
open("normalization-data.bin", "wb").write(out)
print(len(runs), len(decompositions), len(out))
