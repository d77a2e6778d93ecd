using System.Net;
using Microsoft.Extensions.Options;

namespace Chatterbox.Service.Hosting;

/// <summary>On an endpoint that answers GET and costs the model's time.</summary>
internal sealed class CostsModelTime;

/// <summary>What pages in a browser may do here. A browser sends requests for every page to every address, this machine's too, and
/// leaves the choice to the service: foreign pages are refused what changes something or costs the model's time, with keys or
/// without. Programs that are no browsers send neither <c>Origin</c> nor <c>Sec-Fetch-Site</c>, and are not concerned.</summary>
internal static class BrowserGuard
{
    private const string OwnPage =
        "default-src 'self'; img-src 'self' data:; media-src 'self' blob:; object-src 'none'; base-uri 'none'; form-action 'none'; "
        + "frame-ancestors 'none'";

    // its page brings inline code
    private const string Reference = "object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

    /// <summary>Endings of names that no public name server resolves: they are set up within this network.</summary>
    private static readonly string[] PrivateEndings =
    [
        ".localhost",
        ".local",
        ".internal",
        ".lan",
        ".home",
        ".home.arpa",
        ".corp",
        ".test",
    ];

    /// <summary>Refuses foreign pages, and adds the headers that keep own pages to themselves.</summary>
    public static void UseBrowserGuard(this WebApplication app)
    {
        var security = app.Services.GetRequiredService<IOptions<SecurityOptions>>().Value;
        var origins = security.CorsOrigins.ToHashSet(StringComparer.OrdinalIgnoreCase);
        var hosts = origins.Select(origin => new Uri(origin).Host).Append(Dns.GetHostName()).ToHashSet(StringComparer.OrdinalIgnoreCase);
        var checksHosts = security.ApiKeys.Count == 0 && app.Configuration["AllowedHosts"] is null or ""; // set, the framework checks them
        app.Use(
            (http, next) =>
            {
                http.Response.OnStarting(() =>
                {
                    AddHeaders(http);
                    return Task.CompletedTask;
                });
                if (http.GetEndpoint()?.Metadata.GetMetadata<OpenToAll>() is not null)
                {
                    return next(http);
                }

                if (checksHosts && !IsOwnName(http.Request.Host.Host, hosts))
                {
                    throw new RefusedException(
                        new Refusal(
                            StatusCodes.Status403Forbidden,
                            "This service does not answer to the name in the 'Host' header. Use an address, or add the name to the "
                                + "setting AllowedHosts (names separated by ';'; '*' allows all), or set Security:ApiKeys.",
                            Code: "host_not_allowed"
                        )
                    );
                }

                if (IsGuarded(http) && !MayComeFrom(http.Request, origins))
                {
                    throw new RefusedException(
                        new Refusal(
                            StatusCodes.Status403Forbidden,
                            "Pages of this origin may not use the service. Security:CorsOrigins is the setting that lets them.",
                            Code: "origin_not_allowed"
                        )
                    );
                }

                return next(http);
            }
        );
    }

    /// <summary>Whether a name cannot be one that a foreign page has had pointed to this machine: an address, a name without a dot, one of
    /// a private network, or one that is known. Without keys, a page of any other name could read and use everything.</summary>
    internal static bool IsOwnName(string host, ICollection<string> known) =>
        !host.Contains('.', StringComparison.Ordinal)
        || IPAddress.TryParse(host.Trim('[', ']'), out _)
        || known.Contains(host)
        || PrivateEndings.Any(ending => host.TrimEnd('.').EndsWith(ending, StringComparison.OrdinalIgnoreCase));

    private static bool IsGuarded(HttpContext http) =>
        http.WebSockets.IsWebSocketRequest
        || !(
            HttpMethods.IsGet(http.Request.Method) || HttpMethods.IsHead(http.Request.Method) || HttpMethods.IsOptions(http.Request.Method)
        )
        || http.GetEndpoint()?.Metadata.GetMetadata<CostsModelTime>() is not null;

    /// <summary>Whether a request comes from no page, an own page, or one that the settings allow.</summary>
    private static bool MayComeFrom(HttpRequest request, HashSet<string> origins)
    {
        var site = request.Headers["Sec-Fetch-Site"].ToString();
        var origin = request.Headers.Origin.ToString();
        if (origin.Length == 0 && site is "" or "same-origin" or "none")
        {
            return true;
        }

        // Media elements send no origin, but usually where they come from.
        if (origin.Length == 0 && Uri.TryCreate(request.Headers.Referer.ToString(), UriKind.Absolute, out var referer))
        {
            origin = referer.GetLeftPart(UriPartial.Authority);
        }

        return origins.Contains(origin)
            || (
                Uri.TryCreate(origin, UriKind.Absolute, out var uri)
                && string.Equals(uri.Authority, request.Host.Value, StringComparison.OrdinalIgnoreCase)
            );
    }

    private static void AddHeaders(HttpContext http)
    {
        var headers = http.Response.Headers;
        headers.XFrameOptions = "DENY";
        headers["Referrer-Policy"] = "no-referrer";
        headers.ContentSecurityPolicy = http.Request.Path.StartsWithSegments("/scalar") ? Reference : OwnPage;
    }
}
