using Microsoft.Extensions.AI;

namespace KQuant.Models;

/// <summary>Language models behind the interfaces of Microsoft.Extensions.AI.</summary>
public static class LanguageModelExtensions
{
    /// <summary>The model as a chat client.</summary>
    /// <remarks>
    /// Messages go through the model's chat template. What is not given of sampling is <see cref="LanguageModel.DefaultSampling"/>.
    /// </remarks>
    /// <param name="model">The model, with a tokenizer and a chat template.</param>
    /// <param name="ownsModel">Whether disposing the client disposes the model.</param>
    /// <returns>The client; several conversations at once may use it.</returns>
    /// <example>
    /// <code>
    /// using IChatClient client = LanguageModel.Load("Qwen3-0.6B").AsIChatClient(ownsModel: true);
    /// ChatResponse answer = await client.GetResponseAsync("Who is Elizabeth?");
    /// Console.WriteLine(answer.Text);
    /// </code>
    /// </example>
    public static IChatClient AsIChatClient(this LanguageModel model, bool ownsModel = false) => new KQuantChatClient(model, ownsModel);

    /// <summary>
    /// The model as a generator of embeddings: the mean of the hidden states after the last norm over all tokens of a text, at length 1. With
    /// fewer <c>Dimensions</c> than the model has the first ones, at length 1 again.
    /// </summary>
    /// <param name="model">The model, with a tokenizer.</param>
    /// <param name="ownsModel">Whether disposing the generator disposes the model.</param>
    /// <returns>The generator.</returns>
    public static IEmbeddingGenerator<string, Embedding<float>> AsIEmbeddingGenerator(this LanguageModel model, bool ownsModel = false) =>
        new KQuantEmbeddingGenerator(model, ownsModel);
}
