using KQuant.Server.Anthropic;
using KQuant.Server.LlamaCpp;
using KQuant.Server.Monitoring;
using KQuant.Server.OpenAI;
using KQuant.Server.OpenAI.Responses;
using KQuant.Server.Page;
using KQuant.Server.Protocol;

namespace KQuant.Server;

/// <summary>Everything that the server answers.</summary>
internal static class ApiRoutes
{
    /// <summary>The table.</summary>
    public static IReadOnlyList<ApiRoute> All { get; } =
    [
        Get("/", ChatPage.AnswerAsync, isOpen: true),
        Get("/health", HealthEndpoint.AnswerAsync, isOpen: true),
        Get("/metrics", MetricsEndpoint.AnswerAsync),
        Get("/v1/models", ModelsEndpoint.ListAsync),
        Get("/v1/models/{**id}", ModelsEndpoint.GetAsync),
        Post("/v1/chat/completions", ChatEndpoint.AnswerAsync),
        Post("/chat/completions", ChatEndpoint.AnswerAsync),
        Post("/v1/chat/completions/input_tokens", CountEndpoints.CountChatAsync),
        Post("/v1/completions", CompletionEndpoint.AnswerAsync),
        Post("/v1/completions/input_tokens", CountEndpoints.CountTextsAsync),
        Post("/v1/embeddings", EmbeddingsEndpoint.AnswerAsync),
        Post("/v1/responses", ResponsesEndpoint.AnswerAsync),
        Post("/v1/responses/input_tokens", ResponsesEndpoint.CountAsync),
        Post("/v1/messages", MessagesEndpoint.AnswerAsync, ErrorStyle.Anthropic),
        Post("/v1/messages/count_tokens", MessagesEndpoint.CountAsync, ErrorStyle.Anthropic),
        Post("/tokenize", TokenEndpoints.TokenizeAsync),
        Post("/detokenize", TokenEndpoints.DetokenizeAsync),
        Post("/apply-template", TokenEndpoints.ApplyTemplateAsync),
    ];

    /// <summary>Answers where nothing is: at a path of the table the method is wrong, elsewhere the path.</summary>
    public static Task RefuseAsync(ApiCall call)
    {
        string path = call.Http.Request.Path.Value ?? "";
        string[] methods = [.. All.Where(route => route.Path == path).Select(route => route.Method).Distinct()];
        if (methods.Length == 0)
        {
            throw new ApiException(StatusCodes.Status404NotFound, $"There is nothing at {path}.", code: "unknown_url");
        }

        call.Http.Response.Headers.Allow = string.Join(", ", methods);
        throw new ApiException(StatusCodes.Status405MethodNotAllowed, $"{path} takes {string.Join(" or ", methods)}, not {call.Http.Request.Method}.");
    }

    private static ApiRoute Get(string path, Func<ApiCall, Task> answer, bool isOpen = false) =>
        new(HttpMethods.Get, path, ApiHandler.Create(answer, isOpen: isOpen));

    private static ApiRoute Post(string path, Func<ApiCall, Task> answer, ErrorStyle style = ErrorStyle.OpenAI) =>
        new(HttpMethods.Post, path, ApiHandler.Create(answer, style));
}
