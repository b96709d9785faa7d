using KQuant.Codecs.Blocks;

namespace KQuant.Matmul.Kernels;

// One struct per codec: how its wire bytes become a WeightUnit. The code orders are those of the block structs.

internal readonly unsafe struct UnitQ4_0 : IUnitFormat
{
    public static int SubBlock => 32;

    public static bool IsFlat => true;

    public static bool HasMin => false;

    public static void Unpack(byte* blocks, int count, ref WeightUnit unit)
    {
        unit = default;
        for (int b = 0; b < count; b++)
        {
            ref BlockQ4_0 block = ref ((BlockQ4_0*)blocks)[b];
            unit.D[b] = (float)block.D;
            for (int j = 0; j < 16; j++)
            {
                unit.Codes[(32 * b) + j] = (sbyte)((block.Qs[j] & 15) - 8);
                unit.Codes[(32 * b) + j + 16] = (sbyte)((block.Qs[j] >> 4) - 8);
            }
        }
    }
}

internal readonly unsafe struct UnitQ4_1 : IUnitFormat
{
    public static int SubBlock => 32;

    public static bool IsFlat => true;

    public static bool HasMin => true;

    public static void Unpack(byte* blocks, int count, ref WeightUnit unit)
    {
        unit = default;
        for (int b = 0; b < count; b++)
        {
            ref BlockQ4_1 block = ref ((BlockQ4_1*)blocks)[b];
            unit.D[b] = (float)block.D;
            unit.M[b] = (float)block.M;
            for (int j = 0; j < 16; j++)
            {
                unit.Codes[(32 * b) + j] = (sbyte)(block.Qs[j] & 15);
                unit.Codes[(32 * b) + j + 16] = (sbyte)(block.Qs[j] >> 4);
            }
        }
    }
}

internal readonly unsafe struct UnitQ5_0 : IUnitFormat
{
    public static int SubBlock => 32;

    public static bool IsFlat => true;

    public static bool HasMin => false;

    public static void Unpack(byte* blocks, int count, ref WeightUnit unit)
    {
        unit = default;
        for (int b = 0; b < count; b++)
        {
            ref BlockQ5_0 block = ref ((BlockQ5_0*)blocks)[b];
            unit.D[b] = (float)block.D;
            for (int j = 0; j < 32; j++)
            {
                int low = j < 16 ? block.Qs[j] & 15 : block.Qs[j - 16] >> 4;
                unit.Codes[(32 * b) + j] = (sbyte)((low | (int)((block.Qh >> j) & 1) << 4) - 16);
            }
        }
    }
}

internal readonly unsafe struct UnitQ5_1 : IUnitFormat
{
    public static int SubBlock => 32;

    public static bool IsFlat => true;

    public static bool HasMin => true;

    public static void Unpack(byte* blocks, int count, ref WeightUnit unit)
    {
        unit = default;
        for (int b = 0; b < count; b++)
        {
            ref BlockQ5_1 block = ref ((BlockQ5_1*)blocks)[b];
            unit.D[b] = (float)block.D;
            unit.M[b] = (float)block.M;
            for (int j = 0; j < 32; j++)
            {
                int low = j < 16 ? block.Qs[j] & 15 : block.Qs[j - 16] >> 4;
                unit.Codes[(32 * b) + j] = (sbyte)(low | (int)((block.Qh >> j) & 1) << 4);
            }
        }
    }
}

internal readonly unsafe struct UnitQ8_0 : IUnitFormat
{
    public static int SubBlock => 32;

    public static bool IsFlat => true;

    public static bool HasMin => false;

    public static void Unpack(byte* blocks, int count, ref WeightUnit unit)
    {
        unit = default;
        for (int b = 0; b < count; b++)
        {
            ref BlockQ8_0 block = ref ((BlockQ8_0*)blocks)[b];
            unit.D[b] = (float)block.D;
            for (int j = 0; j < 32; j++)
            {
                unit.Codes[(32 * b) + j] = block.Qs[j];
            }
        }
    }
}

internal readonly unsafe struct UnitQ2_K : IUnitFormat
{
    public static int SubBlock => 16;

    public static bool IsFlat => false;

    public static bool HasMin => true;

    public static void Unpack(byte* blocks, int count, ref WeightUnit unit)
    {
        ref BlockQ2_K block = ref *(BlockQ2_K*)blocks;
        unit.D[0] = (float)block.D;
        unit.M[0] = (float)block.DMin;
        for (int i = 0; i < 256; i++)
        {
            unit.Codes[i] = (sbyte)((block.Qs[(32 * (i / 128)) + (i % 32)] >> (2 * (i % 128 / 32))) & 3);
        }

        for (int s = 0; s < 16; s++)
        {
            unit.Scales[s] = (short)(block.Scales[s] & 15);
            unit.Mins[s] = (short)(block.Scales[s] >> 4);
        }
    }
}

internal readonly unsafe struct UnitQ3_K : IUnitFormat
{
    public static int SubBlock => 16;

    public static bool IsFlat => false;

    public static bool HasMin => false;

    public static void Unpack(byte* blocks, int count, ref WeightUnit unit)
    {
        ref BlockQ3_K block = ref *(BlockQ3_K*)blocks;
        unit.D[0] = (float)block.D;
        for (int i = 0; i < 256; i++)
        {
            int low = (block.Qs[(32 * (i / 128)) + (i % 32)] >> (2 * (i % 128 / 32))) & 3;
            int high = (block.HMask[i % 32] >> (i / 32)) & 1;
            unit.Codes[i] = (sbyte)((low | high << 2) - 4);
        }

        for (int s = 0; s < 16; s++)
        {
            unit.Scales[s] = (short)PackedScales.Q3(block.Scales, s);
        }
    }
}

internal readonly unsafe struct UnitQ4_K : IUnitFormat
{
    public static int SubBlock => 32;

    public static bool IsFlat => false;

    public static bool HasMin => true;

    public static void Unpack(byte* blocks, int count, ref WeightUnit unit)
    {
        ref BlockQ4_K block = ref *(BlockQ4_K*)blocks;
        unit.D[0] = (float)block.D;
        unit.M[0] = (float)block.DMin;
        for (int i = 0; i < 256; i++)
        {
            unit.Codes[i] = (sbyte)((block.Qs[(i / 64 * 32) + (i % 32)] >> (i / 32 % 2 * 4)) & 15);
        }

        for (int s = 0; s < 8; s++)
        {
            (int scale, int min) = PackedScales.Q4(block.Scales, s);
            unit.Scales[s] = (short)scale;
            unit.Mins[s] = (short)min;
        }
    }
}

internal readonly unsafe struct UnitQ5_K : IUnitFormat
{
    public static int SubBlock => 32;

    public static bool IsFlat => false;

    public static bool HasMin => true;

    public static void Unpack(byte* blocks, int count, ref WeightUnit unit)
    {
        ref BlockQ5_K block = ref *(BlockQ5_K*)blocks;
        unit.D[0] = (float)block.D;
        unit.M[0] = (float)block.DMin;
        for (int i = 0; i < 256; i++)
        {
            int low = (block.Qs[(i / 64 * 32) + (i % 32)] >> (i / 32 % 2 * 4)) & 15;
            int high = (block.Qh[i % 32] >> (i / 32)) & 1;
            unit.Codes[i] = (sbyte)(low | high << 4);
        }

        for (int s = 0; s < 8; s++)
        {
            (int scale, int min) = PackedScales.Q4(block.Scales, s);
            unit.Scales[s] = (short)scale;
            unit.Mins[s] = (short)min;
        }
    }
}

internal readonly unsafe struct UnitQ6_K : IUnitFormat
{
    public static int SubBlock => 16;

    public static bool IsFlat => false;

    public static bool HasMin => false;

    public static void Unpack(byte* blocks, int count, ref WeightUnit unit)
    {
        ref BlockQ6_K block = ref *(BlockQ6_K*)blocks;
        unit.D[0] = (float)block.D;
        for (int i = 0; i < 256; i++)
        {
            int half = i / 128, plane = i % 128 / 32, l = i % 32;
            int low = (block.Ql[(64 * half) + (plane % 2 * 32) + l] >> (plane / 2 * 4)) & 15;
            int high = (block.Qh[(32 * half) + l] >> (2 * plane)) & 3;
            unit.Codes[i] = (sbyte)((low | high << 4) - 32);
        }

        for (int s = 0; s < 16; s++)
        {
            unit.Scales[s] = block.Scales[s];
        }
    }
}
