using System.CommandLine;

namespace KQuant.Cli.Commands;

/// <summary><c>kquant lora</c>: adapters.</summary>
internal static class LoraCommand
{
    internal static Command Create() => new("lora", "Describe LoRA adapters, convert them, and make them part of a model.")
    {
        LoraInfoCommand.Create(),
        LoraConvertCommand.Create(),
        LoraFuseCommand.Create(),
    };

    /// <summary>The adapter of a verb.</summary>
    internal static Argument<string> Adapter() => new("adapter") { Description = "A folder of mlx-lm or PEFT, or a GGUF file." };

    /// <summary>The model of a verb that can do without.</summary>
    internal static Option<string> Model(string description)
    {
        Option<string> option = CommonOptions.Model(description);
        option.Required = false;
        return option;
    }

    /// <summary>What a format is called.</summary>
    internal static string NameOf(Models.Adapters.AdapterFormat format) => format switch
    {
        Models.Adapters.AdapterFormat.MlxLm => "mlx-lm",
        Models.Adapters.AdapterFormat.Peft => "peft",
        _ => "gguf",
    };
}
