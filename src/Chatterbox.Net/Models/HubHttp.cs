using System.Net;
using System.Net.Http.Headers;
using System.Text.RegularExpressions;

namespace Chatterbox.Models;

/// <summary>
/// Requests as the hub wants them: redirects followed here, so that the token stays with the hub's own host; what may pass
/// (cut connections, silence, 429, 5xx) tried again after a wait.
/// </summary>
internal sealed partial class HubHttp(HttpClient http, ModelHubOptions options)
{
    private const int MaxRedirects = 8;
    private const int MaxDoublings = 5;
    private const string UserAgent = "chatterbox.net/0.1";

    /// <summary>Runs one try after another until one succeeds.</summary>
    /// <param name="attempt">A try; it throws <see cref="PassingException"/> for what may pass.</param>
    /// <param name="progress">What has been reached; while it grows, tries are counted anew.</param>
    /// <param name="cancellationToken">Ends the waiting too.</param>
    /// <exception cref="UnavailableException">The last try failed like the others.</exception>
    public async Task<T> RetryAsync<T>(Func<Task<T>> attempt, Func<long> progress, CancellationToken cancellationToken)
    {
        var (failures, reached) = (0, progress());
        while (true)
        {
            try
            {
                return await attempt();
            }
            catch (PassingException e)
            {
                failures = progress() > reached ? 1 : failures + 1;
                reached = progress();
                if (failures > options.Retries)
                {
                    throw new UnavailableException(
                        $"{e.Message}, {failures} times. Check the network and try again, or set HF_ENDPOINT to a mirror that can "
                            + $"be reached.",
                        e
                    );
                }

                if (e.RetryAfter > options.LongestWait)
                {
                    throw new UnavailableException(
                        $"{e.Message} and asks to wait {e.RetryAfter.Value.TotalSeconds:0} s. Try again then; with HF_TOKEN set, limits "
                            + $"are higher.",
                        e
                    );
                }

                await Task.Delay(
                    e.RetryAfter ?? options.RetryDelay * (1 << Math.Min(failures - 1, MaxDoublings)),
                    options.Time,
                    cancellationToken
                );
            }
        }
    }

    /// <summary>Sends a request and follows redirects; those to another host only if asked to.</summary>
    /// <returns>The answer, with its body still to come; its request has the address that it came from.</returns>
    /// <exception cref="PassingException">The request may be tried again.</exception>
    public async Task<HttpResponseMessage> SendAsync(
        HttpMethod method,
        Uri url,
        RangeHeaderValue? range,
        bool toOtherHosts,
        CancellationToken cancellationToken
    )
    {
        for (var hop = 0; hop <= MaxRedirects; hop++)
        {
            var response = await SendOnceAsync(method, url, range, cancellationToken);
            if (Redirect(response, url) is not { } next || (!toOtherHosts && !SameHost(next, url)))
            {
                return response;
            }

            response.Dispose();
            url =
                next.Scheme == Uri.UriSchemeHttps || (next.Scheme == Uri.UriSchemeHttp && url.Scheme == Uri.UriSchemeHttp)
                    ? next
                    : throw new UnavailableException(
                        $"{url.Host} redirects to {next.Scheme}://{next.Host}, which is not secure. Check the network for a login page "
                            + $"or a wrong proxy."
                    );
        }

        throw new UnavailableException(
            $"{url.Host} redirects more than {MaxRedirects} times. Check the network for a login page or a wrong proxy."
        );
    }

    /// <summary>Reads what has arrived of an answer's body; 0 at its end.</summary>
    /// <exception cref="PassingException">The connection broke, or nothing arrived for too long.</exception>
    public async Task<int> ReadAsync(Uri url, Stream body, Memory<byte> buffer, CancellationToken cancellationToken)
    {
        using var timeout = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        timeout.CancelAfter(options.IdleTimeout);
        try
        {
            return await body.ReadAsync(buffer, timeout.Token);
        }
        catch (Exception e) when (IsPassing(e, cancellationToken))
        {
            throw new PassingException($"{url.Host} stopped sending ({Why(e)})", null, e);
        }
    }

    /// <summary>True if both are the same scheme, host and port.</summary>
    public static bool SameHost(Uri one, Uri other) =>
        Uri.Compare(one, other, UriComponents.SchemeAndServer, UriFormat.UriEscaped, StringComparison.OrdinalIgnoreCase) == 0;

    private async Task<HttpResponseMessage> SendOnceAsync(
        HttpMethod method,
        Uri url,
        RangeHeaderValue? range,
        CancellationToken cancellationToken
    )
    {
        using var request = new HttpRequestMessage(method, url);
        request.Headers.Range = range;
        request.Headers.UserAgent.ParseAdd(UserAgent);
        request.Headers.AcceptEncoding.ParseAdd("identity");
        if (options.Token is { } token && SameHost(url, options.Endpoint))
        {
            request.Headers.Authorization = new AuthenticationHeaderValue("Bearer", token);
        }

        using var timeout = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        timeout.CancelAfter(options.IdleTimeout);
        try
        {
            var response = await http.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, timeout.Token);
            if (response.RequestMessage?.RequestUri != url)
            {
                throw new InvalidOperationException(
                    "The HttpClient follows redirects by itself: set AllowAutoRedirect of its handler to false."
                );
            }

            ThrowIfPassing(response, url);
            return response;
        }
        catch (Exception e) when (IsPassing(e, cancellationToken))
        {
            throw new PassingException($"{url.GetLeftPart(UriPartial.Authority)} cannot be reached ({Why(e)})", null, e);
        }
    }

    private static void ThrowIfPassing(HttpResponseMessage response, Uri url)
    {
        if (
            response.StatusCode
            is HttpStatusCode.RequestTimeout
                or HttpStatusCode.TooManyRequests
                or HttpStatusCode.InternalServerError
                or HttpStatusCode.BadGateway
                or HttpStatusCode.ServiceUnavailable
                or HttpStatusCode.GatewayTimeout
        )
        {
            using (response)
            {
                throw new PassingException($"{url.Host} answers {(int)response.StatusCode} {response.ReasonPhrase}", RetryAfter(response));
            }
        }
    }

    /// <summary>The wait that a server asks for: Retry-After, or the hub's <c>RateLimit: "api";r=0;t=55</c>.</summary>
    private static TimeSpan? RetryAfter(HttpResponseMessage response)
    {
        var wait = response.Headers.RetryAfter is { } header ? header.Delta ?? header.Date - DateTimeOffset.UtcNow : null;
        if (
            wait is null
            && response.StatusCode == HttpStatusCode.TooManyRequests
            && response.Headers.TryGetValues("RateLimit", out var limits)
        )
        {
            var match = RateLimit().Match(string.Join(",", limits));
            wait = match.Success ? TimeSpan.FromSeconds(int.Parse(match.Groups[1].ValueSpan, null)) : null;
        }

        return wait < TimeSpan.Zero ? TimeSpan.Zero : wait;
    }

    [GeneratedRegex(@";\s*r=0\s*;\s*t=(\d{1,6})\b")]
    private static partial Regex RateLimit();

    private static Uri? Redirect(HttpResponseMessage response, Uri url) =>
        response.StatusCode
            is HttpStatusCode.MovedPermanently
                or HttpStatusCode.Found
                or HttpStatusCode.SeeOther
                or HttpStatusCode.TemporaryRedirect
                or HttpStatusCode.PermanentRedirect
        && response.Headers.Location is { } location
            ? new Uri(url, location)
            : null;

    private static bool IsPassing(Exception e, CancellationToken cancellationToken) =>
        e is HttpRequestException or IOException || (e is OperationCanceledException && !cancellationToken.IsCancellationRequested);

    private static string Why(Exception e) => e is OperationCanceledException ? "no answer in time" : e.GetBaseException().Message;
}

/// <summary>A failure of the network or a server that may be gone at the next try.</summary>
internal sealed class PassingException(string message, TimeSpan? retryAfter = null, Exception? inner = null) : Exception(message, inner)
{
    /// <summary>The wait that the server asked for.</summary>
    public TimeSpan? RetryAfter { get; } = retryAfter;
}
