using System.Security.Cryptography;
using System.Text;
using System.Text.RegularExpressions;
using KQuant.Server.Protocol;

namespace KQuant.Server.Page;

/// <summary><c>GET /</c>: a page for conversations with the model. It is one text that loads nothing but the interface of this server.</summary>
internal static partial class ChatPage
{
    private static readonly byte[] Content = ReadContent();

    private static readonly string Tag = $"\"{Convert.ToHexStringLower(SHA256.HashData(Content))[..16]}\"";

    /// <summary>
    /// What a browser lets the page do: its own style and its own script, by their digests, and requests to where it came from. What a model
    /// writes could do nothing else even if it got into the page as more than text.
    /// </summary>
    private static readonly string Policy = string.Join(
        "; ",
        "default-src 'none'",
        $"script-src '{DigestOf("script")}'",
        $"style-src '{DigestOf("style")}'",
        "connect-src 'self'",
        "img-src data:",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'");

    /// <summary>Sends the page.</summary>
    public static async Task AnswerAsync(ApiCall call)
    {
        if (!call.Served.Options.HasPage)
        {
            throw new ApiException(StatusCodes.Status404NotFound, "This server has no page; programs ask at /v1/chat/completions.", code: "unknown_url");
        }

        HttpResponse response = call.Http.Response;
        response.Headers.ContentSecurityPolicy = Policy;
        response.Headers.XContentTypeOptions = "nosniff";
        response.Headers["Referrer-Policy"] = "no-referrer";
        response.Headers.CacheControl = "no-cache";
        response.Headers.ETag = Tag;
        if (call.Http.Request.Headers.IfNoneMatch == Tag)
        {
            response.StatusCode = StatusCodes.Status304NotModified;
            return;
        }

        response.ContentType = "text/html; charset=utf-8";
        response.ContentLength = Content.Length;
        await response.BodyWriter.WriteAsync(Content, call.Aborted).ConfigureAwait(false);
    }

    /// <summary>The bytes of the page; browsers take digests of lines that end as on Unix.</summary>
    private static byte[] ReadContent()
    {
        using Stream stream = typeof(ChatPage).Assembly.GetManifestResourceStream("chat.html")!;
        using var reader = new StreamReader(stream, Encoding.UTF8);
        return Encoding.UTF8.GetBytes(reader.ReadToEnd().ReplaceLineEndings("\n"));
    }

    private static string DigestOf(string element)
    {
        string text = Elements.Matches(Encoding.UTF8.GetString(Content)).Single(match => match.Groups["name"].Value == element).Groups["text"].Value;
        return "sha256-" + Convert.ToBase64String(SHA256.HashData(Encoding.UTF8.GetBytes(text)));
    }

    [GeneratedRegex(@"<(?<name>script|style)>(?<text>.*?)</\k<name>>", RegexOptions.Singleline)]
    private static partial Regex Elements { get; }
}
