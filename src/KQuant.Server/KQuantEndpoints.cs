using KQuant.Server.Protocol;

namespace KQuant.Server;

/// <summary>The interface of a server, as endpoints of an ASP.NET Core application.</summary>
public static class KQuantEndpoints
{
    /// <summary>Maps all paths of the interface, such as <c>/v1/chat/completions</c>. Needs <see cref="KQuantServices.AddKQuant(IServiceCollection, string, Action{KQuantServerOptions}?)"/>.</summary>
    /// <param name="endpoints">The application.</param>
    /// <returns>The application.</returns>
    /// <example>
    /// <code>
    /// WebApplicationBuilder builder = WebApplication.CreateSlimBuilder(args);
    /// builder.Services.AddKQuant("Qwen3-0.6B");
    /// WebApplication app = builder.Build();
    /// app.MapKQuantApi();
    /// app.Run();
    /// </code>
    /// </example>
    public static IEndpointRouteBuilder MapKQuantApi(this IEndpointRouteBuilder endpoints)
    {
        ArgumentNullException.ThrowIfNull(endpoints);
        foreach (ApiRoute route in ApiRoutes.All)
        {
            IEndpointConventionBuilder endpoint = endpoints.MapMethods(route.Path, [route.Method], route.Handler);
            if (route.Path == "/")
            {
                // Behind everything but the fallback: an application that has a page of its own keeps it.
                endpoint.WithOrder(int.MaxValue - 1);
            }
        }

        foreach (string path in ApiRoutes.All.Select(route => route.Path).Distinct())
        {
            endpoints.MapMethods(path, [HttpMethods.Options], ApiHandler.PreflightAsync);
        }

        endpoints.MapFallback("/v1/messages/{**path}", ApiHandler.Create(ApiRoutes.RefuseAsync, ErrorStyle.Anthropic));
        endpoints.MapFallback("{**path}", ApiHandler.Create(ApiRoutes.RefuseAsync));
        return endpoints;
    }
}
