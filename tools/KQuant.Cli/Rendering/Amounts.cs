using System.Globalization;

namespace KQuant.Cli.Rendering;

/// <summary>Numbers as a person reads them.</summary>
internal static class Amounts
{
    private static readonly string[] ByteUnits = ["B", "KiB", "MiB", "GiB", "TiB"];
    private static readonly string[] CountUnits = ["", " K", " M", " B", " T"];

    /// <summary><c>4.75 MiB</c>.</summary>
    public static string Bytes(long bytes) => Scale(bytes, 1024, ByteUnits, " ");

    /// <summary><c>5.24 M</c>.</summary>
    public static string Count(long count) => Scale(count, 1000, CountUnits, "");

    /// <summary>An error or another small number: three significant digits, a dash for null.</summary>
    public static string Small(double? value)
    {
        if (value is not double number || number == 0)
        {
            return value is null ? "-" : "0";
        }

        int decimals = 2 - (int)Math.Floor(Math.Log10(Math.Abs(number)));
        return number.ToString(decimals is >= 0 and <= 6 ? $"F{decimals}" : "0.00e+0", CultureInfo.InvariantCulture);
    }

    /// <summary>A cosine, with the digits that tell one from 1; a dash for null.</summary>
    public static string Cosine(double? value) => value?.ToString("0.000000", CultureInfo.InvariantCulture) ?? "-";

    /// <summary>Bits per weight.</summary>
    public static string Bits(double value) => value.ToString("0.00", CultureInfo.InvariantCulture);

    /// <summary><c>[2048, 256]</c>.</summary>
    public static string Shape(IEnumerable<long> shape) => $"[{string.Join(", ", shape)}]";

    private static string Scale(long amount, int step, string[] units, string space)
    {
        double value = amount;
        int unit = 0;
        while (value >= step && unit < units.Length - 1)
        {
            value /= step;
            unit++;
        }

        string format = unit == 0 ? "0" : value < 10 ? "0.00" : value < 100 ? "0.0" : "0";
        return value.ToString(format, CultureInfo.InvariantCulture) + space + units[unit];
    }
}
