using KQuant.Models;
using KQuant.Server.Hosting;
using Microsoft.Extensions.Options;

namespace KQuant.Server;

/// <summary>A model as a service of an ASP.NET Core application.</summary>
public static class KQuantServices
{
    /// <summary>Serves a model that is loaded when the application starts and closed when it ends.</summary>
    /// <param name="services">The services of the application.</param>
    /// <param name="path">A checkpoint folder or a GGUF file.</param>
    /// <param name="configure">Changes the options; null for nothing.</param>
    /// <returns>The services.</returns>
    /// <remarks>The application fails to start when the model cannot be loaded, with the exceptions of <see cref="LanguageModel.Load"/>.</remarks>
    public static IServiceCollection AddKQuant(this IServiceCollection services, string path, Action<KQuantServerOptions>? configure = null)
    {
        ArgumentNullException.ThrowIfNull(services);
        ArgumentException.ThrowIfNullOrEmpty(path);
        return Add(services, (options, cancellation) => LanguageModel.LoadAsync(path, options.Model, cancellationToken: cancellation), ownsModel: true, configure);
    }

    /// <summary>Serves a model that is there. Whether answers depend on what shares their batch is how it was loaded (<see cref="Matmul.MatmulOptions.Deterministic"/>).</summary>
    /// <param name="services">The services of the application.</param>
    /// <param name="model">The model, with a tokenizer; it stays its owner's and lives longer than the application.</param>
    /// <param name="configure">Changes the options; null for nothing.</param>
    /// <returns>The services.</returns>
    public static IServiceCollection AddKQuant(this IServiceCollection services, LanguageModel model, Action<KQuantServerOptions>? configure = null)
    {
        ArgumentNullException.ThrowIfNull(services);
        ArgumentNullException.ThrowIfNull(model);
        return Add(services, (_, _) => Task.FromResult(model), ownsModel: false, configure);
    }

    private static IServiceCollection Add(
        IServiceCollection services,
        Func<KQuantServerOptions, CancellationToken, Task<LanguageModel>> load,
        bool ownsModel,
        Action<KQuantServerOptions>? configure)
    {
        services.AddRouting();
        services.AddOptions<KQuantServerOptions>().Configure(configure ?? (_ => { }));
        services.AddSingleton(provider => new ServedModel(
            load,
            ownsModel,
            provider.GetRequiredService<IOptions<KQuantServerOptions>>(),
            provider.GetRequiredService<IHostApplicationLifetime>(),
            provider.GetRequiredService<ILogger<ServedModel>>()));
        return services.AddHostedService(provider => provider.GetRequiredService<ServedModel>());
    }
}
