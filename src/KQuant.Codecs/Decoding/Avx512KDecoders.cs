using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace KQuant.Codecs.Decoding;

/// <summary>
/// The K-quants with AVX-512 VBMI. Sixty-four bytes of codes are permuted once so that a 32-bit lane holds one byte of each of four runs
/// of sixteen weights; from there a shift brings any run to the bottom of its lanes, where a permutation looks the weights up in a table
/// of all that their sub-block can have. It reads four bits of a lane (five with two tables) and ignores the rest, so nothing is masked.
/// q6_K has too many codes for a table and converts them.
/// </summary>
/// <remarks>
/// Scales stay in registers and are spread by permutations, which measured faster than storing them and broadcasting from memory. Those
/// of the next block are made before this one is decoded: the way from their bits to the first weight is long, and the processor does not
/// look far enough ahead to start on it by itself.
/// </remarks>
internal static unsafe class Avx512KDecoders
{
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Q2_K(byte* source, float* destination, nint blocks)
    {
        Vector512<uint> pair = Vector512.Create(0x0303_0303u);
        (Vector512<float> scales, Vector512<float> mins) = Q2Scales(source);
        do
        {
            (Vector512<float> nextScales, Vector512<float> nextMins) = Q2Scales(blocks > 1 ? source + 84 : source);

            // Two bits of code and two that say which of four sub-blocks, those of the planes, is meant.
            Vector512<uint> codes = ToLanes(Vector512.Load(source + 16)).AsUInt32();
            Vector512<uint> plane0 = codes & pair;
            Vector512<uint> plane1 = Vector512.ConditionalSelect(pair, codes >>> 2, Vector512.Create(0x0404_0404u));
            Vector512<uint> plane2 = Vector512.ConditionalSelect(pair, codes >>> 4, Vector512.Create(0x0808_0808u));
            Vector512<uint> plane3 = Vector512.ConditionalSelect(pair, codes >>> 6, Vector512.Create(0x0C0C_0C0Cu));
            Q2Run(scales, mins, 0, plane0, plane1, plane2, plane3, destination);
            Q2Run(scales, mins, 1, plane0 >>> 8, plane1 >>> 8, plane2 >>> 8, plane3 >>> 8, destination + 16);
            Q2Run(scales, mins, 8, plane0 >>> 16, plane1 >>> 16, plane2 >>> 16, plane3 >>> 16, destination + 128);
            Q2Run(scales, mins, 9, plane0 >>> 24, plane1 >>> 24, plane2 >>> 24, plane3 >>> 24, destination + 144);

            (scales, mins) = (nextScales, nextMins);
            source += 84;
            destination += 256;
        }
        while (--blocks != 0);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Q3_K(byte* source, float* destination, nint blocks)
    {
        Vector512<float> scales = Q3Scales(source);
        do
        {
            Vector512<float> nextScales = Q3Scales(blocks > 1 ? source + 110 : source);
            Vector512<byte> codes = ToLanes(Vector512.Load(source + 32));
            Vector512<ulong> mask = ToLanesTwice(Vector256.Load(source)).AsUInt64();

            // Half h of the block is in bytes 2 h and 2 h + 1 of every lane. Its third bits are bits 4 h + plane of the mask. They go
            // next to the pairs of bits of the planes: above those of planes 0 and 2, below those of 1 and 3, onto pairs that another
            // vector keeps. Beyond them a bit tells the odd byte from the even one, which belongs to the neighbouring sub-block: its
            // table is the same one.
            Vector512<byte> toBits2And5 = Avx512Vbmi.MultiShift(Rotations(62, 6, 18, 26, 30, 38, 50, 58), mask);
            Vector512<byte> toBit1 = Avx512Vbmi.MultiShift(Rotations(0, 8, 20, 28, 32, 40, 52, 60), mask);
            Vector512<byte> toBit6 = Avx512Vbmi.MultiShift(Rotations(60, 4, 16, 24, 28, 36, 48, 56), mask);
            Vector512<byte> outer = Insert(0x24, toBits2And5, Vector512.Create(0x1800_1800u).AsByte());
            Vector512<byte> inner = Vector512.ConditionalSelect(Vector512.Create((byte)0x02), toBit1, toBit6);
            inner = Insert(0x42, inner, Vector512.Create(0x8100_8100u).AsByte());
            Vector512<uint> planes03 = Vector512.ConditionalSelect(Vector512.Create((byte)0x3C), outer, codes).AsUInt32();
            Vector512<uint> planes12 = Vector512.ConditionalSelect(Vector512.Create((byte)0xC3), inner, codes).AsUInt32();
            Q3Half(scales, 0, planes03, planes12, destination);
            Q3Half(scales, 8, planes03 >>> 16, planes12 >>> 16, destination + 128);

            scales = nextScales;
            source += 110;
            destination += 256;
        }
        while (--blocks != 0);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Q4_K(byte* source, float* destination, nint blocks)
    {
        Vector512<float> scales = Q4Scales(source);
        do
        {
            Vector512<float> nextScales = Q4Scales(blocks > 1 ? source + 144 : source);
            Vector512<uint> codes = ToLanes(Vector512.Load(source + 16)).AsUInt32();
            Q4SubBlock(scales, 0, codes, destination);
            Q4SubBlock(scales, 1, codes >>> 4, destination + 32);
            Q4SubBlock(scales, 2, codes >>> 16, destination + 64);
            Q4SubBlock(scales, 3, codes >>> 20, destination + 96);
            codes = ToLanes(Vector512.Load(source + 80)).AsUInt32();
            Q4SubBlock(scales, 4, codes, destination + 128);
            Q4SubBlock(scales, 5, codes >>> 4, destination + 160);
            Q4SubBlock(scales, 6, codes >>> 16, destination + 192);
            Q4SubBlock(scales, 7, codes >>> 20, destination + 224);

            scales = nextScales;
            source += 144;
            destination += 256;
        }
        while (--blocks != 0);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Q5_K(byte* source, float* destination, nint blocks)
    {
        Vector512<float> scales = Q4Scales(source);
        do
        {
            Vector512<float> nextScales = Q4Scales(blocks > 1 ? source + 176 : source);
            Vector512<ulong> fifthBits = ToLanesTwice(Vector256.Load(source + 16)).AsUInt64();

            // Rotations that bring bit 0 (bytes 0 and 1 of a lane) and bit 2 (bytes 2 and 3) to bit 4; the other sub-blocks follow bit by
            // bit.
            Vector512<byte> sub0 = Rotations(60, 4, 14, 22, 28, 36, 46, 54);
            Vector512<byte> sub1 = sub0 + Vector512<byte>.One;
            Vector512<byte> sub4 = sub0 + Vector512.Create((byte)4);
            Vector512<byte> sub5 = sub0 + Vector512.Create((byte)5);
            Vector512<uint> codes = ToLanes(Vector512.Load(source + 48)).AsUInt32();
            Q5SubBlocks(scales, 0, codes, Avx512Vbmi.MultiShift(sub0, fifthBits), destination);
            Q5SubBlocks(scales, 1, codes >>> 4, Avx512Vbmi.MultiShift(sub1, fifthBits), destination + 32);
            codes = ToLanes(Vector512.Load(source + 112)).AsUInt32();
            Q5SubBlocks(scales, 4, codes, Avx512Vbmi.MultiShift(sub4, fifthBits), destination + 128);
            Q5SubBlocks(scales, 5, codes >>> 4, Avx512Vbmi.MultiShift(sub5, fifthBits), destination + 160);

            scales = nextScales;
            source += 176;
            destination += 256;
        }
        while (--blocks != 0);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Q6_K(byte* source, float* destination, nint blocks)
    {
        Vector512<float> scales = Q6Scales(source);
        do
        {
            Vector512<float> nextScales = Q6Scales(blocks > 1 ? source + 210 : source);
            Q6Half(scales, 0, source, source + 128, destination);
            Q6Half(scales, 8, source + 64, source + 160, destination + 128);

            scales = nextScales;
            source += 210;
            destination += 256;
        }
        while (--blocks != 0);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static (Vector512<float> Scales, Vector512<float> Mins) Q2Scales(byte* block)
    {
        Vector512<float> d = Binary16.ToSingle(
            Avx512F.ConvertToVector512UInt32(Vector128.CreateScalarUnsafe(*(uint*)(block + 80)).AsUInt16().ToVector256Unsafe()));
        Vector512<int> packed = Avx512F.ConvertToVector512Int32(Vector128.Load(block));
        return (
            Spread(d, 0) * Vector512.ConvertToSingle(packed & Vector512.Create(15)),
            Spread(d, 1) * Vector512.ConvertToSingle(packed >>> 4));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<float> Q3Scales(byte* block)
    {
        Vector512<float> d = Binary16.ToSingle(Vector512.Create(*(ushort*)(block + 108)).AsUInt32());
        return d * Vector512.ConvertToSingle(Avx512F.ConvertToVector512Int32(SuperBlockScales.UnpackQ3(block + 96)));
    }

    /// <summary>q4_K, q5_K: the eight scales, then the eight minimums.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<float> Q4Scales(byte* block)
    {
        Vector512<uint> halves = Avx512F.ShiftRightLogicalVariable(
            Vector512.Create(*(uint*)block), Vector512.Create(0u, 0, 0, 0, 0, 0, 0, 0, 16, 16, 16, 16, 16, 16, 16, 16));
        return Binary16.ToSingle(halves)
            * Vector512.ConvertToSingle(Avx512F.ConvertToVector512Int32(SuperBlockScales.UnpackQ4(block + 4)));
    }

    /// <summary>
    /// q6_K: codes are converted in the top six bits of their lanes, where the sign needs no extension; the scales carry the 2^-26.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<float> Q6Scales(byte* block)
    {
        Vector512<float> d = Binary16.ToSingle(Vector512.Create(*(ushort*)(block + 208)).AsUInt32()) * (1f / (1 << 26));
        return d * Vector512.ConvertToSingle(Avx512F.ConvertToVector512Int32(Vector128.Load((sbyte*)block + 192)));
    }

    /// <summary>Byte 16 b + i goes to byte b of lane i.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<byte> ToLanes(Vector512<byte> bytes)
    {
        Vector512<uint> indices = Vector512.Create(0x3020_1000u) + (Vector512<uint>.Indices * 0x0101_0101u);
        return Avx512Vbmi.PermuteVar64x8(bytes, indices.AsByte());
    }

    /// <summary>Byte 16 b + i goes to bytes b and b + 2 of lane i.</summary>
    /// <remarks>
    /// Not a load that broadcasts 32 bytes and then <see cref="ToLanes"/>: the JIT of .NET 10.0 encodes the displacement of that load
    /// wrongly and reads from another address.
    /// </remarks>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<byte> ToLanesTwice(Vector256<byte> bytes)
    {
        Vector512<uint> indices = Vector512.Create(0x1000_1000u) + (Vector512<uint>.Indices * 0x0101_0101u);
        return Avx512Vbmi.PermuteVar64x8(bytes.ToVector512Unsafe(), indices.AsByte());
    }

    /// <summary>Lane <paramref name="lane"/> in all lanes.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<float> Spread(Vector512<float> vector, int lane) => Avx512F.PermuteVar16x32(vector, Vector512.Create(lane));

    /// <summary>
    /// A control of <see cref="Avx512Vbmi.MultiShift(Vector512{byte}, Vector512{ulong})"/>: each byte of eight becomes the eight bits
    /// that start at the given one. Starting at 8 p + r turns byte p right by r; what comes in from its neighbours is never looked at.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<byte> Rotations(ulong b0, ulong b1, ulong b2, ulong b3, ulong b4, ulong b5, ulong b6, ulong b7) =>
        Vector512.Create(b0 | (b1 << 8) | (b2 << 16) | (b3 << 24) | (b4 << 32) | (b5 << 40) | (b6 << 48) | (b7 << 56)).AsByte();

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<byte> Insert(byte mask, Vector512<byte> bits, Vector512<byte> constant) =>
        (bits & Vector512.Create(mask)) | constant;

    /// <summary>A run of 16 weights of each plane; they belong to sub-blocks <paramref name="sub"/>, + 2, + 4 and + 6.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Q2Run(
        Vector512<float> scales,
        Vector512<float> mins,
        int sub,
        Vector512<uint> plane0,
        Vector512<uint> plane1,
        Vector512<uint> plane2,
        Vector512<uint> plane3,
        float* w)
    {
        Vector512<int> subs = Vector512.Create(sub) + Vector512.Create(0, 0, 0, 0, 2, 2, 2, 2, 4, 4, 4, 4, 6, 6, 6, 6);
        Vector512<float> weights = Avx512F.FusedMultiplySubtract(
            Avx512F.PermuteVar16x32(scales, subs),
            Vector512.Create(0f, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3),
            Avx512F.PermuteVar16x32(mins, subs));
        Avx512F.PermuteVar16x32(weights, plane0.AsInt32()).Store(w);
        Avx512F.PermuteVar16x32(weights, plane1.AsInt32()).Store(w + 32);
        Avx512F.PermuteVar16x32(weights, plane2.AsInt32()).Store(w + 64);
        Avx512F.PermuteVar16x32(weights, plane3.AsInt32()).Store(w + 96);
    }

    /// <summary>
    /// 128 weights: the two low bytes of each lane; low nibbles are the codes of planes 0 and 1, high ones those of 3 and 2.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Q3Half(Vector512<float> scales, int sub, Vector512<uint> planes03, Vector512<uint> planes12, float* w)
    {
        // Bit 3 of an index is the sub-block and bit 2 the third bit of the code; or bit 0 and bit 1, with the low bits above.
        Vector512<float> upward = Vector512.Create(-4f, -3, -2, -1, 0, 1, 2, 3, -4, -3, -2, -1, 0, 1, 2, 3);
        Vector512<float> downward = Vector512.Create(-4f, -4, 0, 0, -3, -3, 1, 1, -2, -2, 2, 2, -1, -1, 3, 3);
        Vector512<int> upwardSubs = Vector512.Create(sub) + Vector512.Create(0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1);
        Vector512<int> downwardSubs = Vector512.Create(sub) + Vector512.Create(0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1);

        Vector512<float> weights = upward * Avx512F.PermuteVar16x32(scales, upwardSubs);
        Avx512F.PermuteVar16x32(weights, planes03.AsInt32()).Store(w);
        Avx512F.PermuteVar16x32(weights, (planes03 >>> 8).AsInt32()).Store(w + 16);
        weights = downward * Avx512F.PermuteVar16x32(scales, downwardSubs + Vector512.Create(2));
        Avx512F.PermuteVar16x32(weights, planes12.AsInt32()).Store(w + 32);
        Avx512F.PermuteVar16x32(weights, (planes12 >>> 8).AsInt32()).Store(w + 48);
        weights = upward * Avx512F.PermuteVar16x32(scales, upwardSubs + Vector512.Create(4));
        Avx512F.PermuteVar16x32(weights, (planes12 >>> 4).AsInt32()).Store(w + 64);
        Avx512F.PermuteVar16x32(weights, (planes12 >>> 12).AsInt32()).Store(w + 80);
        weights = downward * Avx512F.PermuteVar16x32(scales, downwardSubs + Vector512.Create(6));
        Avx512F.PermuteVar16x32(weights, (planes03 >>> 4).AsInt32()).Store(w + 96);
        Avx512F.PermuteVar16x32(weights, (planes03 >>> 12).AsInt32()).Store(w + 112);
    }

    /// <summary>32 weights: nibbles 0 and 2 of each lane.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Q4SubBlock(Vector512<float> scales, int sub, Vector512<uint> codes, float* w)
    {
        Vector512<float> weights = Avx512F.FusedMultiplySubtract(
            Spread(scales, sub), Vector512.Create(0f, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15), Spread(scales, sub + 8));
        Avx512F.PermuteVar16x32(weights, codes.AsInt32()).Store(w);
        Avx512F.PermuteVar16x32(weights, (codes >>> 8).AsInt32()).Store(w + 16);
    }

    /// <summary>Sub-blocks <paramref name="sub"/> and + 2: the low nibbles of every byte of <paramref name="codes"/>.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Q5SubBlocks(Vector512<float> scales, int sub, Vector512<uint> codes, Vector512<byte> fifthBits, float* w)
    {
        codes = Vector512.ConditionalSelect(Vector512.Create((byte)16), fifthBits, codes.AsByte()).AsUInt32();
        Q5SubBlock(scales, sub, codes, w);
        Q5SubBlock(scales, sub + 2, codes >>> 16, w + 64);
    }

    /// <summary>32 weights: the low five bits of bytes 0 and 1 of each lane.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Q5SubBlock(Vector512<float> scales, int sub, Vector512<uint> codes, float* w)
    {
        Vector512<float> scale = Spread(scales, sub);
        Vector512<float> min = Spread(scales, sub + 8);
        Vector512<float> low = Avx512F.FusedMultiplySubtract(
            scale, Vector512.Create(0f, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15), min);
        Vector512<float> high = Avx512F.FusedMultiplySubtract(
            scale, Vector512.Create(16f, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31), min);
        Avx512F.PermuteVar16x32x2(low, codes.AsInt32(), high).Store(w);
        Avx512F.PermuteVar16x32x2(low, (codes >>> 8).AsInt32(), high).Store(w + 16);
    }

    /// <summary>128 weights.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Q6Half(Vector512<float> scales, int sub, byte* ql, byte* qh, float* w)
    {
        // Rotations that bring the pair of bits of plane 0 (bytes 0 and 1 of a lane) and plane 1 (bytes 2 and 3) to the top; then planes
        // 2 and 3. Inverting the upper bit of a pair subtracts 32.
        Vector512<byte> planes01 = Rotations(58, 2, 12, 20, 26, 34, 44, 52);
        Vector512<byte> planes23 = planes01 + Vector512.Create((byte)4);
        Vector512<uint> low = ToLanes(Vector512.Load(ql)).AsUInt32();
        Vector512<byte> high = ToLanesTwice(Vector256.Load(qh)) ^ Vector512.Create((byte)0xAA);
        Q6Quarter(scales, sub, (low << 2).AsByte(), Avx512Vbmi.MultiShift(planes01, high.AsUInt64()), w);
        Q6Quarter(scales, sub + 4, (low >>> 2).AsByte(), Avx512Vbmi.MultiShift(planes23, high.AsUInt64()), w + 64);
    }

    /// <summary>
    /// Four runs of 16, one per byte of the lanes: four bits in the middle of <paramref name="low"/>, two at the top of
    /// <paramref name="high"/>.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Q6Quarter(Vector512<float> scales, int sub, Vector512<byte> low, Vector512<byte> high, float* w)
    {
        // Byte 1 of each lane at its top, and nothing else (an index above 127 gives zero).
        Vector512<byte> byte1 = (Vector512.Create(0x0180_8080u) + ((Vector512<uint>.Indices & Vector512.Create(3u)) << 26)).AsByte();
        Vector512<byte> byte2 = byte1 + Vector512.Create(0x0100_0000u).AsByte();
        Vector512<byte> codes = (low & Vector512.Create((byte)0x3C)) | (high & Vector512.Create((byte)0xC0));
        Q6Run(scales, sub, codes.AsInt32() << 24, w);
        Q6Run(scales, sub + 1, Avx512BW.Shuffle(codes, byte1).AsInt32(), w + 16);
        Q6Run(scales, sub + 2, Avx512BW.Shuffle(codes, byte2).AsInt32(), w + 32);
        Q6Run(scales, sub + 3, codes.AsInt32() & Vector512.Create(0xFF00_0000u).AsInt32(), w + 48);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Q6Run(Vector512<float> scales, int sub, Vector512<int> codes, float* w) =>
        (Spread(scales, sub) * Vector512.ConvertToSingle(codes)).Store(w);
}
