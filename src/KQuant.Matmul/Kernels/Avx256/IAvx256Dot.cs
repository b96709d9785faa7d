using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using KQuant.Codecs;

namespace KQuant.Matmul.Kernels.Avx256;

/// <summary>
/// How 256-bit vectors of bytes are multiplied: all that kernels for AVX2 and for AVX-VNNI differ in. Every 32-bit lane sums products of its
/// four bytes, in a form of its own until the sum is ended or scaled.
/// </summary>
internal interface IAvx256Dot
{
    /// <summary>The instruction set.</summary>
    static abstract KernelTier Tier { get; }

    /// <summary>Whether codes of 8 bits are taken as the signed bytes they are, instead of unsigned ones that are 128 too large.</summary>
    static abstract bool TakesSignedCodes { get; }

    /// <summary>Whether sums have 32 bits, so that any number of products of bytes can be added up.</summary>
    static abstract bool IsWide { get; }

    /// <summary>What <see cref="Pick"/> needs to take bits out of every byte.</summary>
    /// <param name="right">How far they move to the right; to the left if negative.</param>
    /// <param name="first">The first bit that is wanted, after the move.</param>
    /// <param name="count">How many bits are wanted. The others become zero.</param>
    static abstract Vector256<byte> Picker(int right, int first, int count);

    /// <summary>Takes bits out of every byte.</summary>
    static abstract Vector256<byte> Pick(Vector256<byte> bytes, int right, Vector256<byte> picker);

    /// <summary>What <see cref="FifthBits"/> needs to take its bits from two bytes of each half, the first of which is number <paramref name="index"/>.</summary>
    static abstract Vector256<byte> FifthOrder(int index);

    /// <summary>16 in each of sixteen bytes whose bit is set, in both halves.</summary>
    static abstract Vector256<byte> FifthBits(Vector256<byte> bits, Vector256<byte> order);

    /// <summary>How many vectors of products with codes of so many bits can be added up, up to 8, before the sum must be ended or scaled.</summary>
    static abstract int Steps(int bits);

    /// <summary>A sum without products that <see cref="End"/> is to add to <paramref name="total"/>.</summary>
    static abstract Vector256<int> Begin(Vector256<int> total);

    /// <summary>Products, the first of a sum that <see cref="End"/> is to add to <paramref name="total"/>.</summary>
    static abstract Vector256<int> Begin(Vector256<int> total, Vector256<byte> unsigned, Vector256<sbyte> signed);

    /// <summary>Adds products.</summary>
    static abstract Vector256<int> Add(Vector256<int> sum, Vector256<byte> unsigned, Vector256<sbyte> signed);

    /// <summary>The total with the sum, in 32-bit lanes.</summary>
    static abstract Vector256<int> End(Vector256<int> total, Vector256<int> sum);

    /// <summary>32-bit scales, of which 16 bits count, as sums are multiplied with them.</summary>
    static abstract Vector256<int> Scale(Vector256<int> scales);

    /// <summary>Adds a sum times a scale to a 32-bit total.</summary>
    static abstract Vector256<int> AddScaled(Vector256<int> total, Vector256<int> sum, Vector256<int> scale);

    /// <summary>Adds products of 16-bit numbers, two in every lane.</summary>
    static abstract Vector256<int> AddPairs(Vector256<int> total, Vector256<short> left, Vector256<short> right);

    /// <summary>
    /// Adds the products of two vectors of codes of at most 6 bits times their scales; how those are distributed over lanes is open.
    /// </summary>
    /// <param name="total">What is added to.</param>
    /// <param name="a">Unsigned codes.</param>
    /// <param name="x">What they are multiplied with.</param>
    /// <param name="scaleA">In the order of <see cref="FirstOrder"/>.</param>
    /// <param name="b">More codes.</param>
    /// <param name="y">What they are multiplied with.</param>
    /// <param name="scaleB">In the order of <see cref="SecondOrder"/>.</param>
    static abstract unsafe Vector256<int> AddScaled(
        Vector256<int> total, Vector256<byte> a, sbyte* x, Vector256<short> scaleA, Vector256<byte> b, sbyte* y, Vector256<short> scaleB);

    /// <summary>
    /// How bytes are shuffled that scale number <paramref name="index"/> of each half may multiply the first, and the next the second of two vectors.
    /// </summary>
    static abstract Vector256<byte> FirstOrder(int index);

    /// <summary>The other of two orders, where there are two.</summary>
    static abstract Vector256<byte> SecondOrder(int index);
}

/// <summary><c>vpmaddubsw</c>: products are added up exactly in 16 bits, and scaled while they are widened.</summary>
internal readonly struct Avx2Dot : IAvx256Dot
{
    public static KernelTier Tier => KernelTier.Avx2;

    public static bool TakesSignedCodes => false;

    public static bool IsWide => false;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<byte> Picker(int right, int first, int count) => Vector256.Create((byte)(((1 << count) - 1) << first));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<byte> Pick(Vector256<byte> bytes, int right, Vector256<byte> picker) => Avx256Codes.Right(bytes, right) & picker;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<byte> FifthOrder(int index)
    {
        const ulong Everywhere = 0x01010101_01010101;
        ulong first = (ulong)index * Everywhere;
        return Vector256.Create(first, first + Everywhere, first, first + Everywhere).AsByte();
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<byte> FifthBits(Vector256<byte> bits, Vector256<byte> order)
    {
        Vector256<byte> bit = Vector256.Create(0x80402010_08040201).AsByte();
        return Vector256.Equals(Avx2.Shuffle(bits, order) & bit, bit) & Vector256.Create((byte)16);
    }

    public static int Steps(int bits) => bits <= 4 ? 8 : bits == 5 ? 4 : 2;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<int> Begin(Vector256<int> total) => Vector256<int>.Zero;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<int> Begin(Vector256<int> total, Vector256<byte> unsigned, Vector256<sbyte> signed) =>
        Avx2.MultiplyAddAdjacent(unsigned, signed).AsInt32();

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<int> Add(Vector256<int> sum, Vector256<byte> unsigned, Vector256<sbyte> signed) =>
        (sum.AsInt16() + Avx2.MultiplyAddAdjacent(unsigned, signed)).AsInt32();

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<int> End(Vector256<int> total, Vector256<int> sum) =>
        total + Avx2.MultiplyAddAdjacent(sum.AsInt16(), Vector256.Create((short)1));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<int> Scale(Vector256<int> scales) => (scales << 16) | (scales & Vector256.Create(0xFFFF));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<int> AddScaled(Vector256<int> total, Vector256<int> sum, Vector256<int> scale) =>
        total + Avx2.MultiplyAddAdjacent(sum.AsInt16(), scale.AsInt16());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<int> AddPairs(Vector256<int> total, Vector256<short> left, Vector256<short> right) =>
        total + Avx2.MultiplyAddAdjacent(left, right);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static unsafe Vector256<int> AddScaled(
        Vector256<int> total, Vector256<byte> a, sbyte* x, Vector256<short> scaleA, Vector256<byte> b, sbyte* y, Vector256<short> scaleB) =>
        total
        + Avx2.MultiplyAddAdjacent(Avx2.MultiplyAddAdjacent(a, Vector256.Load(x)), scaleA)
        + Avx2.MultiplyAddAdjacent(Avx2.MultiplyAddAdjacent(b, Vector256.Load(y)), scaleB);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<byte> FirstOrder(int index) => Vector256.Create((short)(0x0100 + (0x0202 * index))).AsByte();

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<byte> SecondOrder(int index) => FirstOrder(index + 1);
}

/// <summary>The same for codes of 8 bits: their sign goes over to the other factor. Nothing can be added before it is widened.</summary>
internal readonly struct Avx2SignedDot : IAvx256Dot
{
    public static KernelTier Tier => KernelTier.Avx2;

    public static bool TakesSignedCodes => true;

    public static bool IsWide => true;

    public static Vector256<byte> Picker(int right, int first, int count) => default;

    public static Vector256<byte> Pick(Vector256<byte> bytes, int right, Vector256<byte> picker) => throw new NotSupportedException();

    public static Vector256<byte> FifthOrder(int index) => default;

    public static Vector256<byte> FifthBits(Vector256<byte> bits, Vector256<byte> order) => throw new NotSupportedException();

    public static int Steps(int bits) => 8;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<int> Begin(Vector256<int> total) => total;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<int> Begin(Vector256<int> total, Vector256<byte> unsigned, Vector256<sbyte> signed) => Add(total, unsigned, signed);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<int> Add(Vector256<int> sum, Vector256<byte> unsigned, Vector256<sbyte> signed) => sum + Avx2.MultiplyAddAdjacent(
        Avx2.MultiplyAddAdjacent(Avx2.Abs(unsigned.AsSByte()), Avx2.Sign(signed, unsigned.AsSByte())), Vector256.Create((short)1));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<int> End(Vector256<int> total, Vector256<int> sum) => sum;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<int> Scale(Vector256<int> scales) => scales;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<int> AddScaled(Vector256<int> total, Vector256<int> sum, Vector256<int> scale) => total + (sum * scale);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<int> AddPairs(Vector256<int> total, Vector256<short> left, Vector256<short> right) =>
        Avx2Dot.AddPairs(total, left, right);

    public static unsafe Vector256<int> AddScaled(
        Vector256<int> total, Vector256<byte> a, sbyte* x, Vector256<short> scaleA, Vector256<byte> b, sbyte* y, Vector256<short> scaleB) =>
        throw new NotSupportedException();

    public static Vector256<byte> FirstOrder(int index) => throw new NotSupportedException();

    public static Vector256<byte> SecondOrder(int index) => throw new NotSupportedException();
}

/// <summary><c>vpdpbusd</c>: products are added up in 32 bits. Bits are taken out of bytes with <c>vgf2p8affineqb</c>.</summary>
internal readonly struct AvxVnniDot : IAvx256Dot
{
    public static KernelTier Tier => KernelTier.AvxVnni;

    public static bool TakesSignedCodes => false;

    public static bool IsWide => true;

    // Processors with AVX-VNNI multiply bytes by matrices of bits (GFNI). Byte 7 - i of a matrix says what becomes bit i.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<byte> Picker(int right, int first, int count)
    {
        const ulong Identity = 0x01020408_10204080;
        ulong matrix = right < 0 ? Identity >> (-8 * right) : Identity << (8 * right);
        matrix &= ((1UL << (8 * count)) - 1) << (8 * (8 - first - count));
        return Vector256.Create(matrix).AsByte();
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<byte> Pick(Vector256<byte> bytes, int right, Vector256<byte> picker) =>
        Gfni.V256.GaloisFieldAffineTransform(bytes, picker, 0);

    // Here eight bits are a row of a matrix, the one for bit 4, and every byte picks another column.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<byte> FifthOrder(int index)
    {
        ulong first = 0x80808080_00808080 | ((ulong)index << 24), next = first + (1UL << 24);
        return Vector256.Create(first, next, first, next).AsByte();
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<byte> FifthBits(Vector256<byte> bits, Vector256<byte> order) =>
        Gfni.V256.GaloisFieldAffineTransform(Vector256.Create(0x80402010_08040201).AsByte(), Avx2.Shuffle(bits, order), 0);

    public static int Steps(int bits) => 8;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<int> Begin(Vector256<int> total) => total;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<int> Begin(Vector256<int> total, Vector256<byte> unsigned, Vector256<sbyte> signed) => Add(total, unsigned, signed);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<int> Add(Vector256<int> sum, Vector256<byte> unsigned, Vector256<sbyte> signed) =>
        AvxVnni.MultiplyWideningAndAdd(sum, unsigned, signed);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<int> End(Vector256<int> total, Vector256<int> sum) => sum;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<int> Scale(Vector256<int> scales) => scales;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<int> AddScaled(Vector256<int> total, Vector256<int> sum, Vector256<int> scale) => total + (sum * scale);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<int> AddPairs(Vector256<int> total, Vector256<short> left, Vector256<short> right) =>
        AvxVnni.MultiplyWideningAndAdd(total, left, right);

    // Sums of four products fit 16 bits, and packed they are as many as scales for both.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static unsafe Vector256<int> AddScaled(
        Vector256<int> total, Vector256<byte> a, sbyte* x, Vector256<short> scaleA, Vector256<byte> b, sbyte* y, Vector256<short> scaleB) =>
        AvxVnni.MultiplyWideningAndAdd(
            total,
            Avx2.PackSignedSaturate(
                AvxVnni.MultiplyWideningAndAdd(Vector256<int>.Zero, a, Vector256.Load(x)),
                AvxVnni.MultiplyWideningAndAdd(Vector256<int>.Zero, b, Vector256.Load(y))),
            scaleA);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<byte> FirstOrder(int index)
    {
        ulong first = 0x01000100_01000100 + (0x02020202_02020202 * (ulong)index), second = first + 0x02020202_02020202;
        return Vector256.Create(first, second, first, second).AsByte();
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<byte> SecondOrder(int index) => default;
}
