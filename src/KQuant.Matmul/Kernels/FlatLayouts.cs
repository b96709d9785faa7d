using KQuant.Codecs;

namespace KQuant.Matmul.Kernels;

// One struct per 32-wide codec.

internal readonly struct LayoutQ4_0 : IFlatLayout
{
    public static QuantFormat Format => QuantFormat.Q4_0;

    public static int BlockBytes => 18;

    public static int Bits => 4;

    public static bool HasMin => false;

    public static int Offset => 8;

    public static int CodeByte => 2;

    public static int FifthByte => 0;
}

internal readonly struct LayoutQ4_1 : IFlatLayout
{
    public static QuantFormat Format => QuantFormat.Q4_1;

    public static int BlockBytes => 20;

    public static int Bits => 4;

    public static bool HasMin => true;

    public static int Offset => 0;

    public static int CodeByte => 4;

    public static int FifthByte => 0;
}

internal readonly struct LayoutQ5_0 : IFlatLayout
{
    public static QuantFormat Format => QuantFormat.Q5_0;

    public static int BlockBytes => 22;

    public static int Bits => 5;

    public static bool HasMin => false;

    public static int Offset => 16;

    public static int CodeByte => 6;

    public static int FifthByte => 2;
}

internal readonly struct LayoutQ5_1 : IFlatLayout
{
    public static QuantFormat Format => QuantFormat.Q5_1;

    public static int BlockBytes => 24;

    public static int Bits => 5;

    public static bool HasMin => true;

    public static int Offset => 0;

    public static int CodeByte => 8;

    public static int FifthByte => 4;
}

internal readonly struct LayoutQ8_0 : IFlatLayout
{
    public static QuantFormat Format => QuantFormat.Q8_0;

    public static int BlockBytes => 34;

    public static int Bits => 8;

    public static bool HasMin => false;

    public static int Offset => 128;

    public static int CodeByte => 2;

    public static int FifthByte => 0;
}
