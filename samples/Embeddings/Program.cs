using System.Numerics.Tensors;
using KQuant.Models;
using Microsoft.Extensions.AI;

// Embeddings MODEL TEXT TEXT...: the texts after the first, nearest to it first.
if (args is not [string path, string query, .. { Length: > 0 } texts])
{
    Console.Error.WriteLine("Embeddings MODEL TEXT TEXT...");
    return 2;
}

using var generator = LanguageModel.Load(path).AsIEmbeddingGenerator(ownsModel: true);
GeneratedEmbeddings<Embedding<float>> embeddings = await generator.GenerateAsync([query, .. texts]);
ReadOnlyMemory<float> wanted = embeddings[0].Vector;
foreach ((string text, Embedding<float> embedding) in texts.Zip(embeddings.Skip(1))
    .OrderByDescending(pair => TensorPrimitives.CosineSimilarity(wanted.Span, pair.Second.Vector.Span)))
{
    Console.WriteLine($"{TensorPrimitives.CosineSimilarity(wanted.Span, embedding.Vector.Span):F2} {text}");
}

return 0;
