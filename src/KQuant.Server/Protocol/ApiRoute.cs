namespace KQuant.Server.Protocol;

/// <summary>A path of the interface, and what answers there.</summary>
/// <param name="Method">The method of requests.</param>
/// <param name="Path">The path, perhaps with a part in braces.</param>
/// <param name="Handler">What answers.</param>
internal readonly record struct ApiRoute(string Method, string Path, RequestDelegate Handler);
