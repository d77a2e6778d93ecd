using System.Diagnostics;
using System.Net;
using System.Net.Http.Json;

namespace Chatterbox.Benchmarks;

/// <summary>One listener of the load benchmark: asks, plays what comes, and may disconnect.</summary>
/// <param name="http">The listener's client.</param>
/// <param name="model">The model's name on the routes.</param>
/// <param name="kind">What the row measures.</param>
/// <param name="seed">Of the listener's choices.</param>
/// <param name="voice">The voice to ask for; null for one at random.</param>
internal sealed class LoadListener(HttpClient http, string model, LoadKind kind, int seed, string? voice = null)
{
    private const int PcmBytesPerSecond = 2 * SpeechResult.SampleRate;

    // Synthetic weights hardly ever say stop: the service ends their speech at what a text can need, 2 s and 0.24 s a character.
    private const int LeastCharacters = 5,
        MostCharacters = 42;
    private const string Text = "The quick brown fox jumps over me and you.";

    private static readonly string[] Voices = ["a", "b", "c"];

    private readonly Random _random = new(seed);

    /// <summary>Asks once.</summary>
    /// <param name="cancellationToken">Disconnects.</param>
    public async Task<LoadAnswer> AskAsync(CancellationToken cancellationToken)
    {
        var format = kind.Options.Formats[_random.Next(kind.Options.Formats.Length)];
        var input = $"{Text[..(_random.Next(LeastCharacters, MostCharacters) - 1)].TrimEnd()}.";
        var leavesAfter = _random.NextDouble() < kind.Options.Leaving ? _random.Next(1, 3 * PcmBytesPerSecond) : long.MaxValue;
        var body = new
        {
            model,
            input,
            voice = voice ?? Voices[_random.Next(Voices.Length)],
            response_format = format,
            chunk = !kind.IsWhole,
            seed = _random.Next(),
        };
        var (began, first, end, bytes, dry) = (Stopwatch.GetTimestamp(), (double?)null, 0.0, 0L, 0.0);
        try
        {
            using var request = new HttpRequestMessage(HttpMethod.Post, new Uri("/v1/audio/speech", UriKind.Relative))
            {
                Content = JsonContent.Create(body),
            };
            using var answer = await http.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, cancellationToken);
            if (answer.StatusCode is HttpStatusCode.TooManyRequests or HttpStatusCode.ServiceUnavailable)
            {
                return new(began, LoadOutcome.Refused, null, 0, 0);
            }

            if ((int)answer.StatusCode is >= 400 and < 500)
            {
                throw new InvalidOperationException(
                    $"The service does not understand the benchmark: {await answer.Content.ReadAsStringAsync(cancellationToken)}"
                );
            }

            answer.EnsureSuccessStatusCode();
            await using var stream = await answer.Content.ReadAsStreamAsync(cancellationToken);
            var buffer = new byte[1 << 16];
            int read;
            while ((read = await stream.ReadAsync(buffer, cancellationToken)) > 0)
            {
                var now = Stopwatch.GetElapsedTime(began).TotalSeconds;
                if (first is null)
                {
                    (first, end) = (now, now); // of what can be played without a pause
                }

                if (now > end && format == "pcm" && !kind.IsWhole)
                {
                    dry += now - end;
                    end = now;
                }

                end += read / (double)PcmBytesPerSecond;
                bytes += read;
                if (bytes >= leavesAfter)
                {
                    return new(began, LoadOutcome.Left, first, dry, bytes);
                }
            }

            return new(began, LoadOutcome.Spoken, first, dry, bytes);
        }
        catch (OperationCanceledException) when (cancellationToken.IsCancellationRequested)
        {
            return new(began, LoadOutcome.Left, first ?? Stopwatch.GetElapsedTime(began).TotalSeconds, dry, bytes);
        }
        catch (HttpRequestException)
        {
            return new(began, LoadOutcome.Failed, first, dry, bytes);
        }
        catch (IOException)
        {
            return new(began, LoadOutcome.Failed, first, dry, bytes);
        }
    }
}

/// <summary>What became of a request.</summary>
internal enum LoadOutcome
{
    /// <summary>It was answered to its end.</summary>
    Spoken,

    /// <summary>Its listener disconnected.</summary>
    Left,

    /// <summary>The queue was full.</summary>
    Refused,

    /// <summary>The service failed.</summary>
    Failed,
}

/// <summary>What a listener noticed.</summary>
/// <param name="Began">Time stamp of the request.</param>
/// <param name="Outcome">What became of it.</param>
/// <param name="First">Seconds to the first byte of audio, or to the end of the wait for it; null where it was refused or failed
/// before.</param>
/// <param name="Dry">Seconds for which playback stalled; of PCM in chunks.</param>
/// <param name="Bytes">Of the answer.</param>
internal sealed record LoadAnswer(long Began, LoadOutcome Outcome, double? First, double Dry, long Bytes);
