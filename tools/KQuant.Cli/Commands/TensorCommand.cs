using System.CommandLine;

namespace KQuant.Cli.Commands;

/// <summary><c>kquant tensor</c>: single tensors through a codec and back.</summary>
internal static class TensorCommand
{
    internal static Command Create() => new("tensor", "Encode, decode or compare single tensors of .gguf, .safetensors and .npy files.")
    {
        TensorEncodeCommand.Create(),
        TensorDecodeCommand.Create(),
        TensorDiffCommand.Create(),
    };
}
