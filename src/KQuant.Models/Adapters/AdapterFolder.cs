using System.Text.Json.Nodes;
using KQuant.Codecs.Files;

namespace KQuant.Models.Adapters;

/// <summary>A folder with tensors and an <c>adapter_config.json</c>, which appear together.</summary>
internal static class AdapterFolder
{
    /// <param name="folder">The folder.</param>
    /// <param name="overwrite">Whether it may have content.</param>
    /// <param name="name">The name of the tensors.</param>
    /// <param name="tensors">The tensors.</param>
    /// <param name="config">The config.</param>
    /// <param name="indent">Spaces before its members.</param>
    public static void Write(string folder, bool overwrite, string name, SafetensorsWriter tensors, JsonObject config, int indent)
    {
        string other = name == LoraAdapter.MlxName ? LoraAdapter.PeftName : LoraAdapter.MlxName;
        if (File.Exists(Path.Combine(folder, other)))
        {
            throw new IOException($"{folder} has an adapter of another format, {other}.");
        }

        using var output = new OutputFolder(folder, overwrite);
        output.Write(name, stream => tensors.WriteTo(stream));
        output.Write(LoraAdapter.ConfigName, stream => ConfigFile.Write(stream, config, indent));
        output.Commit();
    }
}
