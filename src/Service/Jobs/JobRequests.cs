using System.Text;
using System.Text.Json;
using Chatterbox.Audio;
using Chatterbox.Models;
using Chatterbox.Service.Hosting;
using Chatterbox.Service.Jobs.Books;
using Chatterbox.Service.Models;
using Chatterbox.Service.OpenAi;
using Chatterbox.Service.Recordings;
using Chatterbox.Service.Voices;
using Microsoft.AspNetCore.Http.Features;
using Microsoft.Extensions.Options;

namespace Chatterbox.Service.Jobs;

/// <summary>Reads requests for jobs, JSON or forms, and makes jobs of them: everything is checked before anything is kept.</summary>
internal sealed class JobRequests(
    JobStore store,
    ModelFleet fleet,
    ModelNames models,
    VoiceNames voices,
    VoiceFolder folder,
    AudioCodecs codecs,
    IOptions<JobOptions> options,
    IOptions<VoiceOptions> uploads,
    IOptions<StrictOptions> strict,
    TimeProvider time
)
{
    private const int OtherBytes = 64 * 1024; // what is neither the text nor a recording
    private const int MostAtOnce = 8; // requests whose text is being read
    private const int BytesOfEscape = 6; // of one character in JSON

    /// <summary>The fields of a form.</summary>
    public static readonly FormField[] Fields =
    [
        new("file", $"The book: {BookFile.Kinds}.", IsFile: true),
        new("input", "The text, instead of a file."),
        new("text_format", "text or markdown; that of the file unless given."),
        new("title", "Title of the audiobook; that of the text unless given."),
        new("model", "Name of a model; the default model unless given."),
        new("voice", "Name of a voice; the default voice unless given."),
        new("response_format", "mp3, opus, flac, wav, pcm, ulaw, alaw, m4b or zip; mp3 unless given."),
        new("language", "Code of the language, for models that speak several."),
        new("seed", "The same seed gives the same speech; drawn unless given. The other fields of POST /v1/audio/speech are taken too."),
    ];

    private readonly ClientGate _reading = new(MostAtOnce);

    /// <summary>Creates the job that a request asks for.</summary>
    /// <param name="http">The request.</param>
    /// <param name="owner">Who may see it.</param>
    /// <exception cref="RefusedException">It cannot be served.</exception>
    /// <exception cref="RequestException">Its text cannot be spoken.</exception>
    public async Task<AudioJob> CreateAsync(HttpContext http, string owner)
    {
        var client = Clients.Of(http);
        using var place =
            _reading.TryEnter(client)
            ?? throw new RefusedException(
                new Refusal(
                    StatusCodes.Status429TooManyRequests,
                    "The service reads as many books as it can, or as one client may send. Try again later.",
                    Code: "too_many_jobs",
                    RetryAfter: TimeSpan.FromSeconds(5)
                )
            );
        var (fields, book, title) = http.Request.HasFormContentType ? await ReadFormAsync(http) : await ReadJsonAsync(http);
        var speech = SpeechFields.Read(
            fields,
            new Dictionary<string, JsonElement>
            {
                ["model"] = SpeechFields.Of(fleet.Default.Name),
                ["voice"] = SpeechFields.Of(OpenAiOptions.Default),
                ["input"] = SpeechFields.Of(""),
            }
        );
        IgnoredFields.Report(speech, strict.Value, http.Response.Headers);
        var model = models.Find(speech.Model);
        SpeechParameters.Check(speech, model.Served, TextLimits.OpenAi);
        var format = JobFormat.Of(speech, codecs);
        var spoken = SpokenBook.Of(book, title, http.Request.HasFormContentType ? "file" : "input");
        fleet.ThrowIfStarting();
        var voice = await voices.Find(speech.Voice, model, client, http.RequestAborted); // known to be usable before the job is taken
        store.MakeRoomForOne(client);
        var plan = new JobPlan(
            Guid.NewGuid().ToString("N"),
            owner,
            client,
            time.GetUtcNow(),
            spoken,
            model.Name,
            VoiceFileOf(speech.Voice, voice.Name),
            format,
            speech with
            {
                Input = "",
                Voice = new VoiceChoice(voice.Name),
                Seed = speech.Seed ?? SpeechParameters.DrawSeed(),
                Others = null,
            }
        );
        return await store.CreateAsync(plan, plan.VoiceFile is null ? null : path => CopyVoiceAsync(speech.Voice, voice.Name, path));
    }

    /// <summary>The name of the copy of a voice's file, whose ending says whether it is a recording or a finished voice.</summary>
    private string? VoiceFileOf(VoiceChoice choice, string name) =>
        !choice.Recording.IsEmpty ? "voice.recording"
        : name == OpenAiOptions.Default ? null
        : folder.Find(name) is { IsVoiceFile: true } ? "voice" + VoiceFolder.VoiceFileExtension
        : "voice.recording";

    private Task CopyVoiceAsync(VoiceChoice choice, string name, string path)
    {
        if (!choice.Recording.IsEmpty)
        {
            return File.WriteAllBytesAsync(path, choice.Recording);
        }

        File.Copy((folder.Find(name) ?? throw OpenAiErrors.NoVoice()).Path, path);
        return Task.CompletedTask;
    }

    private BookLimits Limits => new(options.Value.MaxTextBytes, options.Value.MaxUnpackedBytes);

    private async Task<(Dictionary<string, JsonElement> Fields, Book Book, string? Title)> ReadJsonAsync(HttpContext http)
    {
        if (!http.Request.HasJsonContentType())
        {
            throw new RefusedException(
                new Refusal(
                    400,
                    "The request needs a JSON body, with the header 'Content-Type: application/json', or a multipart form with a file.",
                    Code: "invalid_json"
                )
            );
        }

        var recording = uploads.Value.UploadsEnabled ? uploads.Value.MaxUploadBytes * 4 / 3 : 0; // in base64
        Allow(http, ((long)options.Value.MaxTextBytes * BytesOfEscape) + OtherBytes + recording);
        JobBody body;
        try
        {
            body =
                (await JsonSerializer.DeserializeAsync(http.Request.Body, Json.Of<JobBody>(), http.RequestAborted))
                ?? throw new JsonException();
        }
        catch (JsonException e)
        {
            throw new RefusedException(RequestBody.Describe(e, typeof(JobBody)));
        }

        BookFile.ThrowIfTooLong(Encoding.UTF8.GetByteCount(body.Input), Limits, "input");
        var fields = body.Fields ?? [];
        fields["response_format"] = SpeechFields.Of(body.ResponseFormat);
        return (fields, TextBook(body.Input, body.TextFormat), body.Title);
    }

    private async Task<(Dictionary<string, JsonElement> Fields, Book Book, string? Title)> ReadFormAsync(HttpContext http)
    {
        var limit = Math.Max(options.Value.MaxUploadBytes, options.Value.MaxTextBytes) + OtherBytes;
        Allow(http, limit);
        IFormCollection form;
        try
        {
            form = await http.Request.ReadFormAsync(
                new FormOptions
                {
                    MultipartBodyLengthLimit = limit,
                    ValueCountLimit = 64,
                    ValueLengthLimit = options.Value.MaxTextBytes + 1,
                },
                http.RequestAborted
            );
        }
        catch (Exception e)
            when (e is InvalidDataException || (e is IOException and not BadHttpRequestException && !DiskErrors.IsFull((IOException)e)))
        {
            throw new RefusedException(
                new Refusal(
                    400,
                    $"The form cannot be read: it is incomplete, damaged, or larger than {options.Value.MaxUploadBytes} bytes "
                        + $"(Jobs:MaxUploadBytes). "
                        + "Send a multipart/form-data body that ends with its closing boundary.",
                    Code: "invalid_form"
                )
            );
        }

        var fields = form
            .Keys.Where(name => name is not ("input" or "text_format" or "title"))
            .ToDictionary(name => name, name => ValueOf(name, form[name].ToString()));
        var textFormat = form["text_format"].ToString() is { Length: > 0 } named ? named : null;
        var title = form["title"].ToString() is { Length: > 0 } given ? given : null;
        if (form.Files.GetFile("file") is { } file)
        {
            await using var stream = file.OpenReadStream();
            return (fields, BookFile.Read(stream, textFormat == "markdown" ? "book.md" : file.FileName, Limits), title);
        }

        var input = form["input"].ToString();
        BookFile.ThrowIfTooLong(Encoding.UTF8.GetByteCount(input), Limits, "input");
        return input.Length > 0
            ? (fields, TextBook(input, textFormat ?? "text"), title)
            : throw OpenAiErrors.Invalid(
                "file",
                $"'file' is missing. Send a book: {BookFile.Kinds}; or a text as 'input'.",
                "missing_required_parameter"
            );
    }

    private static Book TextBook(string text, string format) =>
        format switch
        {
            "text" => BookFile.Plain(text),
            "markdown" => MarkdownBook.Read(text),
            _ => throw OpenAiErrors.Invalid("text_format", "'text_format' must be text or markdown."),
        };

    /// <summary>A field of a form as JSON has it: numbers and switches are no strings there.</summary>
    private static JsonElement ValueOf(string name, string value)
    {
        var property = Json.Of<SpeechBody>().Properties.FirstOrDefault(p => p.Name == name);
        if (property is null || property.PropertyType == typeof(string) || property.PropertyType == typeof(VoiceChoice))
        {
            return SpeechFields.Of(value);
        }

        try
        {
            return JsonDocument.Parse(value).RootElement;
        }
        catch (JsonException)
        {
            return SpeechFields.Of(value); // of another type than the field has, which is refused by its name
        }
    }

    private static void Allow(HttpContext http, long bytes)
    {
        if (http.Features.Get<IHttpMaxRequestBodySizeFeature>() is { IsReadOnly: false } size)
        {
            size.MaxRequestBodySize = bytes;
        }
    }
}
