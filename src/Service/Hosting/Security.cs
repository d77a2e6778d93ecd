using System.ComponentModel.DataAnnotations;
using System.Security.Cryptography;
using System.Text;
using Microsoft.Extensions.Options;

namespace Chatterbox.Service.Hosting;

/// <summary>Who may use the service, from which origins, how often. Everything is off unless set.</summary>
internal sealed class SecurityOptions : IValidatableObject
{
    /// <summary>Name of the section in the settings.</summary>
    public const string Section = "Security";

    private const int ShortestKey = 16;

    /// <summary>Keys, one of which each request must carry (<c>Authorization: Bearer KEY</c>, or as the dialect has it); without any, no
    /// key is needed.</summary>
    public IList<string> ApiKeys { get; } = [];

    /// <summary>Other origins whose pages may use the service, such as <c>https://example.org</c>.</summary>
    public IList<string> CorsOrigins { get; } = [];

    /// <summary>Most requests a minute from one client, each sentence of a WebSocket session among them; 0 sets no limit.</summary>
    [Range(0, 1_000_000)]
    public int RequestsPerMinute { get; set; }

    /// <inheritdoc/>
    public IEnumerable<ValidationResult> Validate(ValidationContext validationContext)
    {
        if (ApiKeys.Any(key => key.Length < ShortestKey))
        {
            yield return new ValidationResult($"A key must have {ShortestKey} characters at least.", [nameof(ApiKeys)]);
        }

        if (
            CorsOrigins.Any(origin =>
                !Uri.TryCreate(origin, UriKind.Absolute, out var uri) || uri.PathAndQuery != "/" || origin.EndsWith('/')
            )
        )
        {
            yield return new ValidationResult(
                "An origin is a scheme and a host, as in https://example.org, without a slash at the end.",
                [nameof(CorsOrigins)]
            );
        }
    }
}

/// <summary>On an endpoint that needs no key.</summary>
internal sealed class OpenToAll;

/// <summary>How a client may send a key besides <c>Authorization: Bearer KEY</c>: on the endpoints of a dialect.</summary>
/// <param name="Find">Finds the key in a request; null where there is none.</param>
/// <param name="Example">What a client has to send.</param>
internal sealed record KeyHeaders(Func<HttpRequest, string?> Find, string Example)
{
    /// <summary>The header of ElevenLabs.</summary>
    public const string XiApiKey = "xi-api-key";

    /// <summary>As clients of ElevenLabs send it.</summary>
    public static KeyHeaders ElevenLabs { get; } = new(request => request.Headers[XiApiKey].FirstOrDefault(), "xi-api-key: KEY");

    /// <summary>As clients of ElevenLabs send it over a WebSocket: where it is in no header, the first message has it.</summary>
    public static KeyHeaders ElevenLabsMessage { get; } = ElevenLabs with { MayComeInMessage = true };

    /// <summary>As clients of Deepgram send it; those in a browser, which can set no header of a WebSocket, as its second
    /// protocol.</summary>
    public static KeyHeaders Deepgram { get; } =
        new(
            request =>
                request.Headers.Authorization.ToString() is var header && header.StartsWith("Token ", StringComparison.OrdinalIgnoreCase)
                    ? header["Token ".Length..]
                : request.Headers.SecWebSocketProtocol.ToString().Split(',', StringSplitOptions.TrimEntries)
                    is ["token" or "bearer", var key]
                    ? key
                : null,
            "Authorization: Token KEY"
        );

    /// <summary>Whether a request without a key is let in, and its first message must have it.</summary>
    public bool MayComeInMessage { get; init; }
}

/// <summary>The keys that the settings name.</summary>
internal sealed class ApiKeys(IOptions<SecurityOptions> options)
{
    private readonly List<byte[]> _keys = [.. options.Value.ApiKeys.Select(Hash)];
    private readonly Dictionary<string, string> _owners = options
        .Value.ApiKeys.Index()
        .ToDictionary(key => NameOf(key.Index), key => Convert.ToHexStringLower(SHA256.HashData(Hash(key.Item)))[..OwnerLength]);

    private const int OwnerLength = 32;

    /// <summary>Whether there are any.</summary>
    public bool AreSet => _keys.Count > 0;

    /// <summary>The client that holds a key; null if it is none. Compares with every key, and each in the same time whatever was
    /// sent.</summary>
    public string? HolderOf(string key)
    {
        var sent = Hash(key.Trim());
        int? holder = null;
        for (var i = 0; i < _keys.Count; i++)
        {
            holder = CryptographicOperations.FixedTimeEquals(_keys[i], sent) ? i : holder;
        }

        return holder is { } index ? NameOf(index) : null;
    }

    /// <summary>The owner of what a request creates: the same for the same key, in whatever order the settings name the keys; empty where
    /// there
    /// are none.</summary>
    public string OwnerOf(HttpContext http) => AreSet ? _owners[Clients.Of(http)] : "";

    private static string NameOf(int index) => $"key {index}";

    private static byte[] Hash(string key) => SHA256.HashData(Encoding.UTF8.GetBytes(key));
}

/// <summary>Keys, origins and rates, each only where it is set.</summary>
internal static class Security
{
    /// <summary>Registers what the settings ask for.</summary>
    public static void AddSecurity(this WebApplicationBuilder builder)
    {
        var options = builder.Read<SecurityOptions>(SecurityOptions.Section);
        builder.Services.AddCors(cors =>
            cors.AddDefaultPolicy(policy =>
                policy
                    .WithOrigins([.. options.CorsOrigins])
                    .WithMethods("GET", "POST", "DELETE")
                    .WithHeaders("Authorization", "Content-Type", "Cache-Control", KeyHeaders.XiApiKey)
                    .WithExposedHeaders(
                        "Retry-After",
                        "X-Request-Id",
                        "X-Chatterbox-Model",
                        "X-Chatterbox-Seed",
                        "X-Chatterbox-Voice",
                        "X-Chatterbox-Ignored",
                        "X-Chatterbox-Repairs",
                        "X-Chatterbox-Unknown-Characters",
                        "X-Chatterbox-Truncated",
                        "X-Chatterbox-Queue-Position",
                        "X-Chatterbox-Expected-Wait"
                    )
            )
        );
        builder.Services.AddSingleton<RequestRate>();
        builder.Services.AddSingleton<ApiKeys>();
    }

    /// <summary>Asks for keys and counts requests.</summary>
    public static void UseSecurity(this WebApplication app)
    {
        var keys = app.Services.GetRequiredService<ApiKeys>();
        if (keys.AreSet)
        {
            app.Use(
                (http, next) =>
                {
                    var headers = http.GetEndpoint()?.Metadata.GetMetadata<KeyHeaders>();
                    var key = Bearer(http.Request) ?? headers?.Find(http.Request);
                    if (IsOpen(http) || (key is null && headers is { MayComeInMessage: true } && http.WebSockets.IsWebSocketRequest))
                    {
                        return next(http);
                    }

                    http.Items[Clients.KeyHolder] =
                        keys.HolderOf(key ?? "")
                        ?? throw new RefusedException(
                            new Refusal(
                                401,
                                $"This service asks for a key. Send the header '{headers?.Example ?? "Authorization: Bearer KEY"}'.",
                                Code: "invalid_api_key"
                            )
                        );
                    return next(http);
                }
            );
        }

        var rate = app.Services.GetRequiredService<RequestRate>();
        app.Use(
            (http, next) =>
            {
                if (!IsOpen(http))
                {
                    rate.ThrowIfTooMany(Clients.Of(http));
                }

                return next(http);
            }
        );
    }

    private static bool IsOpen(HttpContext http) => http.GetEndpoint()?.Metadata.GetMetadata<OpenToAll>() is not null;

    private static string? Bearer(HttpRequest request) =>
        request.Headers.Authorization.ToString() is var header && header.StartsWith("Bearer ", StringComparison.OrdinalIgnoreCase)
            ? header["Bearer ".Length..]
            : null;
}
