using KQuant.Codecs;
using KQuant.Codecs.Files;

namespace KQuant.Models.Tokenizers;

internal static class GgufTokenizer
{
    public static Tokenizer Load(string path, GgufMetadata metadata) => throw new ModelFormatException(path, "soon" + metadata.Count);
}
