// A text-to-speech service: POST /speak streams the speech of the body's text.  dotnet run -- --Chatterbox:Model nano
using Chatterbox;
using Chatterbox.Audio;
using Chatterbox.Engine;
using Chatterbox.Text;

var builder = WebApplication.CreateBuilder(args);
builder.Services.AddChatterbox().BindConfiguration("Chatterbox");      // loads with the application, drains when it stops
builder.Services.AddSingleton<AudioCodecs>();

var app = builder.Build();
app.MapHealthChecks("/health");                                        // 200 once the model is loaded
app.MapPost("/speak", async (HttpContext http, ISpeechEngine engine, AudioCodecs codecs, string format = "mp3") =>
{
    var cancellationToken = http.RequestAborted;                                  // a client that disconnects frees its place
    try
    {
        using var body = new StreamReader(http.Request.Body);
        var audio = AudioFormat.Parse(format);
        codecs.ThrowIfUnsupported(audio);
        var plan = TextPlan.Of(await body.ReadToEndAsync(cancellationToken));
        var client = http.Connection.RemoteIpAddress?.ToString() ?? "";
        var job = engine.Submit(new SpeechRequest { Pieces = plan.Pieces, Chunks = new(), Client = client }, cancellationToken);
        http.Response.ContentType = audio.ContentType;
        var speech = new JoinedSpeech(plan).Blocks(job.Events, cancellationToken);
        await foreach (var bytes in codecs.Encode(speech, audio, begun: job.Begun, cancellationToken: cancellationToken))
        {
            await http.Response.Body.WriteAsync(bytes, cancellationToken);
            await http.Response.Body.FlushAsync(cancellationToken);
        }
    }
    catch (ChatterboxException e) when (!http.Response.HasStarted)
    {
        http.Response.StatusCode = e switch
        {
            EngineBusyException => StatusCodes.Status429TooManyRequests,
            UnavailableException => StatusCodes.Status503ServiceUnavailable,
            RequestException => StatusCodes.Status400BadRequest,
            _ => StatusCodes.Status500InternalServerError,
        };
        http.Response.ContentType = "text/plain; charset=utf-8";
        await http.Response.WriteAsync(e.Message, cancellationToken);
    }
});
app.Run();
