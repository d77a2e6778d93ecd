using System.ComponentModel.DataAnnotations;
using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using System.Threading.RateLimiting;
using Microsoft.Extensions.Options;

namespace Chatterbox.Service.Hosting;

/// <summary>Who may use the service, from where, how often; section <c>Security</c>. Everything is off unless set.</summary>
internal sealed class SecurityOptions : IValidatableObject
{
    /// <summary>Name of the section in the settings.</summary>
    public const string Section = "Security";

    private const int ShortestKey = 16;

    /// <summary>Keys, one of which each request must carry (<c>Authorization: Bearer KEY</c>); none lets everybody in.</summary>
    public IList<string> ApiKeys { get; } = [];

    /// <summary>Origins whose pages may use the service, such as <c>https://example.org</c>; none but its own unless set.</summary>
    public IList<string> CorsOrigins { get; } = [];

    /// <summary>Most requests a minute from one client; 0 sets no limit.</summary>
    [Range(0, 1_000_000)]
    public int RequestsPerMinute { get; set; }

    /// <inheritdoc/>
    public IEnumerable<ValidationResult> Validate(ValidationContext validationContext)
    {
        if (ApiKeys.Any(key => key.Length < ShortestKey))
        {
            yield return new ValidationResult($"A key must have {ShortestKey} characters at least.", [nameof(ApiKeys)]);
        }

        if (CorsOrigins.Any(origin => !Uri.TryCreate(origin, UriKind.Absolute, out var uri) || uri.PathAndQuery != "/" || origin.EndsWith('/')))
        {
            yield return new ValidationResult("An origin is a scheme and a host, as in https://example.org, without a slash at the end.", [nameof(CorsOrigins)]);
        }
    }
}

/// <summary>On an endpoint that needs no key.</summary>
internal sealed class OpenToAll;

/// <summary>Keys, origins and rates, each only where it is set.</summary>
internal static class Security
{
    /// <summary>Registers what the settings ask for.</summary>
    public static void AddSecurity(this WebApplicationBuilder builder)
    {
        var options = builder.Read<SecurityOptions>(SecurityOptions.Section);
        builder.Services.AddCors(cors => cors.AddDefaultPolicy(policy => policy
            .WithOrigins([.. options.CorsOrigins])
            .WithMethods("GET", "POST", "DELETE")
            .WithHeaders("Authorization", "Content-Type")
            .WithExposedHeaders("Retry-After", "X-Request-Id", "X-Chatterbox-Model", "X-Chatterbox-Seed", "X-Chatterbox-Ignored", "X-Chatterbox-Repairs", "X-Chatterbox-Unknown-Characters", "X-Chatterbox-Queue-Position", "X-Chatterbox-Expected-Wait")));
        if (options.RequestsPerMinute > 0)
        {
            builder.Services.AddSingleton(_ => PartitionedRateLimiter.Create<HttpContext, string>(http =>
                RateLimitPartition.GetFixedWindowLimiter(Clients.Of(http), _ => new() { PermitLimit = options.RequestsPerMinute, Window = TimeSpan.FromMinutes(1) })));
        }
    }

    /// <summary>Asks for keys and counts requests.</summary>
    public static void UseSecurity(this WebApplication app)
    {
        var options = app.Services.GetRequiredService<IOptions<SecurityOptions>>().Value;
        var keys = options.ApiKeys.Select(Hash).ToList();
        if (keys.Count > 0)
        {
            app.Use((http, next) =>
            {
                if (IsOpen(http))
                {
                    return next(http);
                }

                if (HolderOf(http.Request, keys) is not { } holder)
                {
                    throw new RefusedException(new Refusal(401, "This service asks for a key. Send the header 'Authorization: Bearer KEY'.", Code: "invalid_api_key"));
                }

                http.Items[Clients.KeyHolder] = $"key {holder}";
                return next(http);
            });
        }

        if (options.RequestsPerMinute > 0)
        {
            app.UseRateLimit(app.Services.GetRequiredService<PartitionedRateLimiter<HttpContext>>(), options.RequestsPerMinute);
        }
    }

    /// <summary>The framework's own middleware would leave a clock running, which keeps all of a service in memory when it is gone.</summary>
    private static void UseRateLimit(this WebApplication app, PartitionedRateLimiter<HttpContext> limiter, int requestsPerMinute) => app.Use(async (http, next) =>
    {
        if (!IsOpen(http))
        {
            using var lease = await limiter.AcquireAsync(http, cancellationToken: http.RequestAborted);
            if (!lease.IsAcquired)
            {
                throw new RefusedException(new Refusal(
                    StatusCodes.Status429TooManyRequests,
                    string.Create(CultureInfo.InvariantCulture, $"One client may make {requestsPerMinute} requests a minute. Try again later."),
                    Code: "rate_limit_exceeded",
                    RetryAfter: lease.TryGetMetadata(MetadataName.RetryAfter, out var wait) ? wait : TimeSpan.FromMinutes(1)));
            }
        }

        await next(http);
    });

    private static bool IsOpen(HttpContext http) => http.GetEndpoint()?.Metadata.GetMetadata<OpenToAll>() is not null;

    /// <summary>Compares with every key, and each in the same time whatever was sent.</summary>
    private static int? HolderOf(HttpRequest request, List<byte[]> keys)
    {
        var header = request.Headers.Authorization.ToString();
        var sent = Hash(header.StartsWith("Bearer ", StringComparison.OrdinalIgnoreCase) ? header["Bearer ".Length..].Trim() : "");
        int? holder = null;
        for (var i = 0; i < keys.Count; i++)
        {
            holder = CryptographicOperations.FixedTimeEquals(keys[i], sent) ? i : holder;
        }

        return holder;
    }

    private static byte[] Hash(string key) => SHA256.HashData(Encoding.UTF8.GetBytes(key));
}
