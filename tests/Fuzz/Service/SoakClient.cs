using System.Net;
using System.Net.Http.Headers;
using System.Net.Http.Json;
using System.Net.Sockets;
using System.Net.WebSockets;
using System.Text;
using System.Text.Json;

namespace Fuzz.Service;

/// <summary>What became of a request.</summary>
internal enum Outcome
{
    /// <summary>It was served.</summary>
    Served,

    /// <summary>It was refused as it should be: it was wrong, or the service had no place for it.</summary>
    Refused,

    /// <summary>Its client left on purpose.</summary>
    Left,

    /// <summary>It was served, and the answer differs from that of the same request when it was alone.</summary>
    Changed,

    /// <summary>No answer came in time, or it broke off, or it was an error of the service.</summary>
    Unanswered,
}

/// <summary>One client of a mixed crowd: does one thing after another, chosen by chance.</summary>
/// <param name="number">Its number, which decides its address.</param>
/// <param name="service">The service.</param>
/// <param name="recording">A WAV file to upload.</param>
/// <param name="alone">Answers to <see cref="SpeechBody"/> of each seed, when nothing else was asked.</param>
internal sealed class SoakClient(int number, Uri service, byte[] recording, IReadOnlyList<byte[]> alone) : IDisposable
{
    /// <summary>Most time that an answer takes.</summary>
    public static readonly TimeSpan LongestAnswer = TimeSpan.FromMinutes(5);

    private readonly HttpClient _http = Connect(number, service);
    private readonly Random _random = new(number);
    private int _voices;

    /// <summary>The body of a request whose answer depends on its seed alone.</summary>
    public static string SpeechBody(int seed) =>
        $$"""{"model":"tiny","input":"Request number {{seed}} has its own words.","voice":"default","response_format":"pcm","seed":{{seed}}}""";

    /// <summary>Does one thing.</summary>
    /// <param name="cancellationToken">The soak is over.</param>
    /// <returns>What it was, and what became of it; null where the soak ended before.</returns>
    public async Task<(string What, Outcome Outcome)?> ActAsync(CancellationToken cancellationToken)
    {
        (string What, Func<CancellationToken, Task<Outcome>> Act)[] acts =
        [
            ("speech", SpeakAsync),
            ("speech", SpeakAsync),
            ("events", EventsAsync),
            ("file", FileAsync),
            ("leave", LeaveAsync),
            ("wrong", WrongAsync),
            ("upload", UploadAsync),
            ("watermark", WatermarkAsync),
            ("conversion", ConvertAsync),
            ("socket", SocketAsync),
            ("slow", ReadSlowlyAsync),
            ("health", HealthAsync),
        ];
        var (what, act) = acts[_random.Next(acts.Length)];
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        limit.CancelAfter(LongestAnswer);
        try
        {
            return (what, await act(limit.Token));
        }
        catch (Exception e)
            when (e is HttpRequestException or OperationCanceledException or IOException or WebSocketException or JsonException)
        {
            return cancellationToken.IsCancellationRequested ? null : ($"{what}: {e.Message}", Outcome.Unanswered);
        }
    }

    /// <inheritdoc/>
    public void Dispose() => _http.Dispose();

    private static HttpClient Connect(int number, Uri service) =>
        new(
            new SocketsHttpHandler
            {
                ConnectCallback = async (context, cancellationToken) =>
                {
                    var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
                    socket.Bind(new IPEndPoint(IPAddress.Parse($"127.0.0.{1 + number}"), 0));
                    await socket.ConnectAsync(context.DnsEndPoint, cancellationToken);
                    return new NetworkStream(socket, ownsSocket: true);
                },
            }
        )
        {
            BaseAddress = service,
            Timeout = Timeout.InfiniteTimeSpan,
        };

    private static Outcome OutcomeOf(HttpResponseMessage answer) =>
        answer.StatusCode switch
        {
            HttpStatusCode.OK or HttpStatusCode.Created or HttpStatusCode.NoContent => Outcome.Served,
            HttpStatusCode.TooManyRequests => Outcome.Refused,
            _ => Outcome.Unanswered,
        };

    private static StringContent Json(string body) => new(body, Encoding.UTF8, "application/json");

    private Task<HttpResponseMessage> Post(
        string path,
        HttpContent content,
        CancellationToken cancellationToken,
        HttpCompletionOption completion = HttpCompletionOption.ResponseContentRead
    ) => _http.SendAsync(new HttpRequestMessage(HttpMethod.Post, path) { Content = content }, completion, cancellationToken);

    private MultipartFormDataContent Form(params (string Name, string Value)[] fields)
    {
        var form = new MultipartFormDataContent
        {
            {
                new ByteArrayContent(recording) { Headers = { ContentType = new MediaTypeHeaderValue("audio/wav") } },
                "file",
                "voice.wav"
            },
        };
        foreach (var (name, value) in fields)
        {
            form.Add(new StringContent(value), name);
        }

        return form;
    }

    private async Task<Outcome> SpeakAsync(CancellationToken cancellationToken)
    {
        var seed = _random.Next(alone.Count);
        using var answer = await Post("/v1/audio/speech", Json(SpeechBody(seed)), cancellationToken);
        return OutcomeOf(answer) is not Outcome.Served and var other ? other
            : (await answer.Content.ReadAsByteArrayAsync(cancellationToken)).AsSpan().SequenceEqual(alone[seed]) ? Outcome.Served
            : Outcome.Changed;
    }

    private async Task<Outcome> EventsAsync(CancellationToken cancellationToken)
    {
        using var answer = await Post(
            "/speak",
            Json("""{"text":"One sentence. And another one.","stream":true,"chunk":true}"""),
            cancellationToken
        );
        return OutcomeOf(answer) is not Outcome.Served and var other ? other
            : (await answer.Content.ReadAsStringAsync(cancellationToken)).Contains("\"status\":\"complete\"", StringComparison.Ordinal)
                ? Outcome.Served
            : Outcome.Unanswered;
    }

    private async Task<Outcome> FileAsync(CancellationToken cancellationToken)
    {
        using var answer = await Post("/speak", Json("""{"text":"A file to keep."}"""), cancellationToken);
        if (OutcomeOf(answer) is not Outcome.Served and var other)
        {
            return other;
        }

        var saved = await answer.Content.ReadFromJsonAsync<JsonElement>(cancellationToken);
        using var file = await _http.GetAsync(new Uri(saved.GetProperty("audio_url").GetString()!, UriKind.Relative), cancellationToken);
        return OutcomeOf(file);
    }

    private async Task<Outcome> LeaveAsync(CancellationToken cancellationToken)
    {
        using var leaves = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        leaves.CancelAfter(_random.Next(1, 1000));
        try
        {
            using var answer = await Post("/v1/audio/speech", Json(SpeechBody(0)), leaves.Token);
            return OutcomeOf(answer);
        }
        catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
        {
            return Outcome.Left;
        }
    }

    private async Task<Outcome> WrongAsync(CancellationToken cancellationToken)
    {
        (string Path, HttpContent Content)[] wrong =
        [
            ("/speak", Json("{\"text\":")),
            ("/speak", Json("{}")),
            ("/v1/audio/speech", Json("""{"model":"tiny","input":"Hello.","voice":"nobody"}""")),
            ("/v1/audio/watermark", new StringContent("--b\r\n", Encoding.UTF8)),
            ("/v1/audio/voices", Form(("name", "../out"))),
            (
                "/v1/audio/watermark",
                new MultipartFormDataContent
                {
                    { new ByteArrayContent(recording[..(recording.Length / 3)].Reverse().ToArray()), "file", "noise.mp3" },
                }
            ),
        ];
        var (path, content) = wrong[_random.Next(wrong.Length)];
        using var answer = await Post(path, content, cancellationToken);
        return (int)answer.StatusCode is >= 400 and < 500 ? Outcome.Refused : Outcome.Unanswered;
    }

    private async Task<Outcome> UploadAsync(CancellationToken cancellationToken)
    {
        var name = $"client {number} voice {_voices++}";
        using var uploaded = await Post("/v1/audio/voices", Form(("name", name)), cancellationToken);
        if (OutcomeOf(uploaded) is not Outcome.Served and var other)
        {
            return other;
        }

        using var spoken = await Post(
            "/v1/audio/speech",
            Json($$"""{"model":"tiny","input":"In a new voice.","voice":"{{name}}","response_format":"pcm"}"""),
            cancellationToken
        );
        using var deleted = await _http.DeleteAsync(
            new Uri($"/v1/audio/voices/{Uri.EscapeDataString(name)}", UriKind.Relative),
            cancellationToken
        );
        return OutcomeOf(deleted) is Outcome.Served ? OutcomeOf(spoken) : Outcome.Unanswered;
    }

    private async Task<Outcome> WatermarkAsync(CancellationToken cancellationToken)
    {
        using var answer = await Post("/v1/audio/watermark", Form(), cancellationToken);
        return OutcomeOf(answer);
    }

    private async Task<Outcome> ConvertAsync(CancellationToken cancellationToken)
    {
        using var answer = await Post("/v1/audio/conversions", Form(("voice", "default"), ("response_format", "wav")), cancellationToken);
        return OutcomeOf(answer);
    }

    private async Task<Outcome> SocketAsync(CancellationToken cancellationToken)
    {
        using var socket = new ClientWebSocket();
        await socket.ConnectAsync(new Uri($"ws://{service.Authority}/v1/audio/speech/stream"), cancellationToken);
        Task Send(string message) =>
            socket.SendAsync(Encoding.UTF8.GetBytes(message), WebSocketMessageType.Text, endOfMessage: true, cancellationToken);
        await Send("""{"type":"session"}""");
        await Send("""{"type":"text","text":"Some words that come. And more of "}""");
        switch (_random.Next(3))
        {
            case 0:
                return Outcome.Left; // without a word
            case 1:
                await Send("""{"type":"cancel"}""");
                break;
            default:
                await Send("""{"type":"text","text":"them."}""");
                break;
        }

        await Send("""{"type":"end"}""");
        var buffer = new byte[1 << 16];
        var last = "";
        while (await socket.ReceiveAsync(buffer, cancellationToken) is { MessageType: not WebSocketMessageType.Close } part)
        {
            last = part.MessageType == WebSocketMessageType.Text ? Encoding.UTF8.GetString(buffer, 0, part.Count) : last;
        }

        await socket.CloseOutputAsync(WebSocketCloseStatus.NormalClosure, "", cancellationToken);
        return last.Contains("\"done\"", StringComparison.Ordinal) ? Outcome.Served
            : last.Contains("queue_full", StringComparison.Ordinal) ? Outcome.Refused
            : Outcome.Unanswered;
    }

    /// <summary>Reads some of an answer, then nothing for a while, then the rest or not.</summary>
    private async Task<Outcome> ReadSlowlyAsync(CancellationToken cancellationToken)
    {
        var text = string.Concat(Enumerable.Repeat("Many words to hear. [pause:20s] ", 9));
        using var answer = await Post(
            "/v1/audio/speech",
            Json($$"""{"model":"tiny","input":"{{text}}","voice":"default","response_format":"pcm"}"""),
            cancellationToken,
            HttpCompletionOption.ResponseHeadersRead
        );
        if (OutcomeOf(answer) is not Outcome.Served and var other)
        {
            return other;
        }

        await using var stream = await answer.Content.ReadAsStreamAsync(cancellationToken);
        await stream.ReadExactlyAsync(new byte[1000], cancellationToken);
        await Task.Delay(_random.Next(3000), cancellationToken);
        if (_random.Next(2) == 0)
        {
            return Outcome.Left;
        }

        await stream.CopyToAsync(Stream.Null, cancellationToken);
        return Outcome.Served;
    }

    private async Task<Outcome> HealthAsync(CancellationToken cancellationToken)
    {
        using var answer = await _http.GetAsync(new Uri("/health", UriKind.Relative), cancellationToken);
        return OutcomeOf(answer);
    }
}
