using System.Diagnostics.CodeAnalysis;

namespace KQuant.Models.Grammars;

/// <summary>What texts of the formats of JSON schemas look like.</summary>
internal static class JsonFormats
{
    /// <summary>Every day that there is, but the 29th of February, which is not in every year.</summary>
    private const string Date = "( [0-9] [0-9] [0-9] [1-9] | [0-9] [0-9] [1-9] \"0\" ) \"-\" ( ( \"01\" | \"03\" | \"05\" | \"07\" | \"08\" | \"10\" | \"12\" ) \"-\" ( \"0\" [1-9] | [12] [0-9] | "
        + "\"3\" [01] ) | ( \"04\" | \"06\" | \"09\" | \"11\" ) \"-\" ( \"0\" [1-9] | [12] [0-9] | \"30\" ) | \"02-\" ( \"0\" [1-9] | \"1\" [0-9] | "
        + "\"2\" [0-8] ) )";

    private const string Time = "( [01] [0-9] | \"2\" [0-3] ) \":\" [0-5] [0-9] \":\" [0-5] [0-9] ( \".\" [0-9]{1,7} )?";

    private const string Zone = "( \"Z\" | [-+] ( \"0\" [0-9] | \"1\" [0-3] ) \":\" [0-5] [0-9] )";

    private const string Byte = "( [0-9] | [1-9] [0-9] | \"1\" [0-9] [0-9] | \"2\" [0-4] [0-9] | \"25\" [0-5] )";

    /// <summary>The part of a grammar for a format; others say what a text means, not what it looks like.</summary>
    public static bool TryGet(string format, [NotNullWhen(true)] out string? rule)
    {
        rule = format switch
        {
            "date" => Date,
            "time" => Time + " " + Zone + "?",
            "date-time" => $"{Date} \"T\" {Time} {Zone}",
            "uuid" => "hex{8} \"-\" hex{4} \"-\" hex{4} \"-\" hex{4} \"-\" hex{12}",
            "ipv4" => $"{Byte} \".\" {Byte} \".\" {Byte} \".\" {Byte}",
            _ => null,
        };
        return rule is not null;
    }
}
