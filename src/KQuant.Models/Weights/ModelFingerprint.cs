using System.Security.Cryptography;
using KQuant.Codecs.Files;
using KQuant.Models.Configuration;

namespace KQuant.Models.Weights;

/// <summary>Tells a model from others: everything that it computes, and the table of its tensors with some of their bytes.</summary>
internal static class ModelFingerprint
{
    public static byte[] Compute(ModelSource source, ModelConfig config)
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        foreach ((string name, string value) in ConfigFields.List(config))
        {
            SourceDigest.Append(hash, $"{name} {value}");
        }

        foreach (ModelTensor tensor in source.Tensors)
        {
            SourceDigest.Append(hash, tensor);
        }

        return hash.GetHashAndReset();
    }
}
