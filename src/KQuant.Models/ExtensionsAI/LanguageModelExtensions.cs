using Microsoft.Extensions.AI;

namespace KQuant.Models;

/// <summary>Language models behind the interfaces of Microsoft.Extensions.AI.</summary>
public static class LanguageModelExtensions
{
    /// <summary>The model as a chat client.</summary>
    /// <remarks>
    /// <para>
    /// Messages go through the model's chat template. What is not given of sampling is <see cref="LanguageModel.DefaultSampling"/>.
    /// <c>RawRepresentationFactory</c> may give <see cref="Generation.GenerationOptions"/> to start from, over which the other options win;
    /// of <c>AdditionalProperties</c>, <c>min_p</c>, <c>repetition_penalty</c>, <c>xtc_probability</c> and <c>xtc_threshold</c> are sampling, and
    /// all others variables of the template, such as <c>enable_thinking</c>.
    /// </para>
    /// <para>
    /// Tools are declared to the template, and calls are read from the answer where its form is known: JSON between <c>&lt;tool_call&gt;</c>
    /// (Qwen, Hermes), Llama 3, Mistral, gpt-oss. <c>ToolMode</c> required, and JSON or a schema as <c>ResponseFormat</c>, hold by a grammar
    /// (<see cref="Grammars.Grammar"/>). What a model thinks (think tags, gpt-oss's analysis) comes as <see cref="TextReasoningContent"/>.
    /// What cannot be done, such as images, throws <see cref="NotSupportedException"/>. A turn reads only what the last ones have not.
    /// </para>
    /// </remarks>
    /// <param name="model">The model, with a tokenizer and a chat template.</param>
    /// <param name="ownsModel">Whether disposing the client disposes the model.</param>
    /// <param name="cachedConversations">Conversations whose caches are kept between calls, so that a next turn reads only what is new.</param>
    /// <returns>The client; several conversations at once may use it.</returns>
    /// <example>
    /// <code>
    /// using IChatClient client = LanguageModel.Load("Qwen3-0.6B").AsIChatClient(ownsModel: true);
    /// ChatResponse answer = await client.GetResponseAsync("Who is Elizabeth?");
    /// Console.WriteLine(answer.Text);
    /// </code>
    /// </example>
    public static IChatClient AsIChatClient(this LanguageModel model, bool ownsModel = false, int cachedConversations = 1)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentOutOfRangeException.ThrowIfNegative(cachedConversations);
        return new KQuantChatClient(model, ownsModel, cachedConversations);
    }

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
