using System.CommandLine;
using System.CommandLine.Parsing;
using System.Globalization;
using KQuant.Cli.Rendering;
using KQuant.Codecs.Conversion;
using KQuant.Codecs.Files;
using KQuant.Codecs.Recipes;
using static System.FormattableString;

namespace KQuant.Cli.Commands;

/// <summary>The options of <c>kquant quantize</c> that ask for a size.</summary>
internal sealed class BudgetArguments
{
    private static readonly (string Suffix, double Factor)[] Units =
    [
        ("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("KB", 1e3), ("MB", 1e6), ("GB", 1e9), ("", 1),
    ];

    private readonly Option<long> _size = new("--target-size")
    {
        Description = "Choose a codec for each tensor so that the whole file has at most so many bytes (4.2GB, 700MiB, 123456) and loses as little "
            + "as possible; better with an --imatrix, best with one that has --losses.",
        HelpName = "size",
        CustomParser = result =>
        {
            string word = result.Tokens[0].Value;
            (string suffix, double factor) = Units.First(unit => word.EndsWith(unit.Suffix, StringComparison.OrdinalIgnoreCase));
            if (double.TryParse(word.AsSpan(0, word.Length - suffix.Length), NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out double number)
                && number * factor is >= 1 and < 1e18)
            {
                return (long)(number * factor);
            }

            result.AddError($"--target-size is a number of bytes such as 4.2GB, 700MiB or 123456, not '{word}'.");
            return 0;
        },
    };

    private readonly Option<double> _bits = new("--target-bpw")
    {
        Description = "As --target-size, in bits per weight of the model.",
        HelpName = "bits",
        CustomParser = result =>
        {
            string word = result.Tokens[0].Value;
            if (!double.TryParse(word, NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out double bits) || bits is not (> 0 and <= 32))
            {
                result.AddError($"--target-bpw is a number above 0 and up to 32, not '{word}'.");
            }

            return bits;
        },
    };

    /// <summary>Adds the options to the command.</summary>
    public void AddTo(Command command)
    {
        command.Options.Add(_size);
        command.Options.Add(_bits);
        command.Validators.Add(result =>
        {
            if (result.GetResult(_size) is not null && result.GetResult(_bits) is not null)
            {
                result.AddError("--target-size and --target-bpw say both how large the result may be; give one of them.");
            }
        });
    }

    /// <summary>Whether a size was asked for.</summary>
    public bool IsGiven(SymbolResult command) => command.GetResult(_size) is not null || command.GetResult(_bits) is not null;

    /// <summary>Makes the plan for a size; null when none was asked for.</summary>
    public QuantizationBudget? Solve(
        ParseResult parsed, ModelSource source, RecipeOptions options, ConversionOptions conversion, bool quiet, CancellationToken cancellationToken)
    {
        if (!IsGiven(parsed.CommandResult))
        {
            return null;
        }

        long weights = source.Tensors.Sum(tensor => tensor.GetWeightCount());
        var budget = new BudgetOptions
        {
            TargetBytes = parsed.GetResult(_size) is not null ? parsed.GetValue(_size) : (long)(parsed.GetValue(_bits) * weights / 8),
            Fixed = options,
        };
        return ProgressBar.Show(
            parsed.InvocationConfiguration.Error,
            quiet,
            progress => QuantizationBudget.Solve(source, budget, conversion, progress, cancellationToken));
    }

    /// <summary>Shows what was chosen, and what other sizes would cost.</summary>
    public static void Write(QuantizationBudget budget, TextWriter output)
    {
        double total = budget.Choices.Sum(choice => choice.Loss);
        var table = new TextTable("tensor", "codec", "bytes", "bits/weight", "relative error", "predicted loss", "of all") { TextColumns = 2 };
        foreach (BudgetChoice choice in budget.Choices)
        {
            table.Add(
                choice.Planned.Source.Name, choice.Planned.FormatName, Amounts.Bytes(choice.Planned.ByteCount), Amounts.Bits(choice.Planned.BitsPerWeight),
                Amounts.Small(choice.Error), Amounts.Small(choice.Loss), total > 0 ? Invariant($"{100 * choice.Loss / total:0.0} %") : "-");
        }

        table.Write(output);
        output.WriteLine();
        var curve = new TextTable("bytes", "predicted loss") { TextColumns = 0 };
        foreach (BudgetPoint point in budget.Curve)
        {
            curve.Add(point.Bytes.ToString(CultureInfo.InvariantCulture), Amounts.Small(point.Loss));
        }

        curve.Write(output);
        output.WriteLine();
        output.WriteLine(Invariant($"{budget.Bytes} bytes in all, predicted loss {Amounts.Small(total)}."));
        output.WriteLine();
    }
}
