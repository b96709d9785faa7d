using System.Globalization;
using System.Numerics;

namespace KQuant.Models.Templates;

/// <summary>Python's arithmetic: integers of any size, floats, and booleans that count as 0 and 1.</summary>
internal static class PythonNumbers
{
    /// <summary>Larger integers than any template has use for; a power of two powers would never end.</summary>
    public const int MaxBits = 4096;

    public static bool IsNumber(object? value) => value is long or double or bool or BigInteger;

    /// <summary>The order of two numbers; null if one is not a number.</summary>
    public static int? Compare(object x, object y)
    {
        if (x is double || y is double)
        {
            double a = AsDouble(x), b = AsDouble(y);
            return double.IsNaN(a) || double.IsNaN(b) ? null : a.CompareTo(b);
        }

        return AsBig(x).CompareTo(AsBig(y));
    }

    public static double AsDouble(object value) => value switch
    {
        double number => number,
        bool flag => flag ? 1 : 0,
        long integer => integer,
        _ => (double)(BigInteger)value,
    };

    public static BigInteger AsBig(object value) => value switch
    {
        bool flag => flag ? 1 : 0,
        long integer => integer,
        _ => (BigInteger)value,
    };

    /// <summary>An integer that fits, for an index or a count.</summary>
    public static long AsIndex(object? value, string what) => value switch
    {
        long integer => integer,
        bool flag => flag ? 1 : 0,
        BigInteger => throw new TemplateException($"{what} cannot take so large a number"),
        UndefinedValue undefined => throw new TemplateException(undefined.Problem),
        _ => throw new TemplateException($"{what} needs an integer, not {PythonText.TypeName(value)}"),
    };

    /// <summary>An integer as a value: 64 bits where they are enough.</summary>
    public static object Integer(BigInteger value) => value.GetBitLength() > MaxBits
        ? throw new TemplateException($"a number of more than {MaxBits} bits")
        : value >= long.MinValue && value <= long.MaxValue ? (object)(long)value : value;

    /// <summary>The result of an operator on two numbers.</summary>
    public static object Calculate(RenderContext context, string sign, object x, object y)
    {
        if (x is BigInteger || y is BigInteger || sign == "**")
        {
            context.Step(MaxBits / 64);
        }

        bool floats = x is double || y is double;
        switch (sign)
        {
            case "+": return floats ? AsDouble(x) + AsDouble(y) : Integer(AsBig(x) + AsBig(y));
            case "-": return floats ? AsDouble(x) - AsDouble(y) : Integer(AsBig(x) - AsBig(y));
            case "*": return floats ? AsDouble(x) * AsDouble(y) : Integer(AsBig(x) * AsBig(y));
            case "**": return Power(x, y, floats);
        }

        if (AsDouble(y) == 0)
        {
            throw new TemplateException(floats ? "float division by zero" : "division by zero");
        }

        if (sign == "/")
        {
            return AsDouble(x) / AsDouble(y);
        }

        if (!floats)
        {
            BigInteger quotient = BigInteger.DivRem(AsBig(x), AsBig(y), out BigInteger rest);
            bool below = !rest.IsZero && rest.Sign != AsBig(y).Sign;
            return Integer(sign == "//" ? quotient - (below ? 1 : 0) : rest + (below ? AsBig(y) : 0));
        }

        double a = AsDouble(x), b = AsDouble(y), modulo = a % b;
        modulo = modulo != 0 && modulo < 0 != b < 0 ? modulo + b : modulo;
        return sign == "//" ? Math.Round((a - modulo) / b) : modulo == 0 ? Math.CopySign(0, b) : modulo;
    }

    /// <summary><c>round(value, digits)</c>, exact decimal value half to even as in Python.</summary>
    public static double Round(double value, int digits)
    {
        if (double.IsNaN(value) || double.IsInfinity(value) || digits > 300)
        {
            return value;
        }

        if (digits <= 0)
        {
            double scale = Math.Pow(10, -digits);
            return Math.Round(value / scale, MidpointRounding.ToEven) * scale;
        }

        // The framework formats the exact decimal expansion, correctly rounded.
        return double.Parse(value.ToString("F" + digits.ToString(CultureInfo.InvariantCulture), CultureInfo.InvariantCulture), CultureInfo.InvariantCulture);
    }

    private static object Power(object x, object y, bool floats)
    {
        if (floats || AsBig(y).Sign < 0)
        {
            double a = AsDouble(x), b = AsDouble(y);
            return a == 0 && b < 0 ? throw new TemplateException("0.0 cannot be raised to a negative power") : Math.Pow(a, b);
        }

        BigInteger power = AsBig(y), value = AsBig(x);
        if (!value.IsZero && !value.IsOne && value != BigInteger.MinusOne && power * Math.Max(1, value.GetBitLength() - 1) > MaxBits)
        {
            throw new TemplateException($"a number of more than {MaxBits} bits");
        }

        return Integer(value.IsOne || value.IsZero || value == BigInteger.MinusOne
            ? power.IsZero ? BigInteger.One : value.IsOne ? 1 : value.IsZero ? 0 : power.IsEven ? 1 : -1
            : BigInteger.Pow(value, (int)power));
    }
}
