using System.Globalization;
using System.Threading.RateLimiting;
using Microsoft.Extensions.Options;

namespace Chatterbox.Service.Hosting;

/// <summary>Counts the requests of each client, where the settings limit them.</summary>
/// <remarks>The framework's own middleware would leave a clock running, which keeps all of a service in memory when it is gone.</remarks>
internal sealed class RequestRate(IOptions<SecurityOptions> options) : IDisposable
{
    private readonly PartitionedRateLimiter<string>? _limiter = options.Value.RequestsPerMinute is > 0 and var most
        ? PartitionedRateLimiter.Create<string, string>(client =>
            RateLimitPartition.GetFixedWindowLimiter(client, _ => new() { PermitLimit = most, Window = TimeSpan.FromMinutes(1) })
        )
        : null;

    /// <summary>Counts one more request of a client.</summary>
    /// <exception cref="RefusedException">It is one too many.</exception>
    public void ThrowIfTooMany(string client)
    {
        using var lease = _limiter?.AttemptAcquire(client);
        if (lease is { IsAcquired: false })
        {
            throw new RefusedException(
                new Refusal(
                    StatusCodes.Status429TooManyRequests,
                    string.Create(
                        CultureInfo.InvariantCulture,
                        $"One client may make {options.Value.RequestsPerMinute} requests a minute. Try again later."
                    ),
                    Code: "rate_limit_exceeded",
                    RetryAfter: lease.TryGetMetadata(MetadataName.RetryAfter, out var wait) ? wait : TimeSpan.FromMinutes(1)
                )
            );
        }
    }

    /// <inheritdoc/>
    public void Dispose() => _limiter?.Dispose();
}
