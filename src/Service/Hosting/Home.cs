using System.Reflection;
using Chatterbox.Audio;
using Chatterbox.Service.Models;
using Chatterbox.Service.Voices;
using Chatterbox.Service.Wyoming;
using Microsoft.Extensions.Options;
using Microsoft.Net.Http.Headers;

namespace Chatterbox.Service.Hosting;

/// <summary>What the service is, and its routes.</summary>
/// <param name="Service">Chatterbox.Net.</param>
/// <param name="Version">Its version.</param>
/// <param name="Model">The default model.</param>
/// <param name="Device">The device that it runs on.</param>
/// <param name="Models">Every model.</param>
/// <param name="Formats">Formats that audio can be written in here.</param>
/// <param name="VoiceUploads">Whether voices can be added and deleted.</param>
/// <param name="Endpoints">The routes.</param>
internal sealed record ServiceInformation(
    string Service,
    string Version,
    string Model,
    string Device,
    IReadOnlyList<string> Models,
    IReadOnlyList<string> Formats,
    bool VoiceUploads,
    IReadOnlyList<string> Endpoints
);

/// <summary>The address without a path: information for programs, the page for people.</summary>
internal static class Home
{
    /// <summary>The version of this program.</summary>
    public static readonly string Version =
        typeof(Home).Assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>()?.InformationalVersion.Split('+')[0] ?? "";

    /// <summary>Adds the route.</summary>
    public static void MapHome(this WebApplication app) =>
        app.MapGet("/", Show)
            .WithSummary("Information about the service; for a browser, the page")
            .WithMetadata(new OpenToAll())
            .Produces<ServiceInformation>()
            .AlsoAnswers<string>("text/html");

    private static IResult Show(
        HttpContext http,
        ModelFleet fleet,
        EndpointDataSource endpoints,
        IWebHostEnvironment environment,
        AudioCodecs codecs,
        IOptions<VoiceOptions> voices,
        IOptions<WyomingOptions> wyoming
    )
    {
        http.Response.Headers.Vary = HeaderNames.Accept;
        var page = environment.WebRootFileProvider.GetFileInfo("index.html");
        if (page.Exists && PrefersHtml(http.Request))
        {
            return TypedResults.Stream(page.CreateReadStream(), "text/html; charset=utf-8");
        }

        var routes = endpoints
            .Endpoints.OfType<RouteEndpoint>()
            .SelectMany(e => e.Metadata.GetMetadata<HttpMethodMetadata>()?.HttpMethods.Select(m => $"{m} {e.RoutePattern.RawText}") ?? [])
            .Distinct()
            .Concat(wyoming.Value.Port > 0 ? [$"Wyoming {wyoming.Value.Address}:{wyoming.Value.Port}"] : []);
        return TypedResults.Ok(
            new ServiceInformation(
                "Chatterbox.Net",
                Version,
                fleet.Default.Name,
                fleet.Default.Served.Device,
                [.. fleet.All.Select(model => model.Name)],
                [.. codecs.Support().Where(format => format.Encoder is not null).Select(format => format.Name)],
                voices.Value.UploadsEnabled,
                [.. routes]
            )
        );
    }

    private static bool PrefersHtml(HttpRequest request) =>
        MediaTypeHeaderValue.TryParseList(request.Headers.Accept, out var accepted)
        && accepted
            .Where(a => a.Quality is not 0)
            .OrderByDescending(a => a.Quality ?? 1)
            .FirstOrDefault(a => a.MediaType == "text/html" || a.MediaType == "application/json")
            is { } first
        && first.MediaType == "text/html";
}
