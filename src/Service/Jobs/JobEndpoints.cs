using System.Globalization;
using System.Runtime.CompilerServices;
using Chatterbox.Service.Hosting;
using Chatterbox.Service.OpenAi;
using Chatterbox.Service.Streaming;
using Chatterbox.Service.Voices;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.Extensions.Options;

namespace Chatterbox.Service.Jobs;

/// <summary>The routes of long texts.</summary>
internal static class JobEndpoints
{
    private const string CreateDescription =
        "A text of any length becomes a file: the answer is 202 with the job, whose address is in the header `Location`. The text "
        + "comes as JSON, "
        + "or as a form with an EPUB, Markdown or text file. Chapters are those of the EPUB, or the headings of the first two levels in "
        + "Markdown. "
        + "Jobs give way to all other requests, are kept on the disk, and continue after a restart where they were; the file is "
        + "the same as "
        + "without one. `m4b` is an audiobook with chapters, or a zip of chapters where ffmpeg is not installed.";

    private static readonly TimeSpan LongestSilence = TimeSpan.FromSeconds(15);

    /// <summary>Registers what they need.</summary>
    public static void AddJobs(this WebApplicationBuilder builder)
    {
        var options = builder.ReadValid<JobOptions>(JobOptions.Section);
        if (!options.Enabled)
        {
            return;
        }

        if (options.Folder.Length > 0)
        {
            using var logging = builder.StartupLogging();
            new ServiceFolders(logging.CreateLogger<ServiceFolders>()).Find("Jobs:Folder", options.Folder, byDefault: "", isWritten: true);
        }

        builder.Services.AddSingleton<JobStore>();
        builder.Services.AddSingleton<JobRequests>();
        builder.Services.AddSingleton<JobRunner>();
        builder.Services.AddHostedService(services => services.GetRequiredService<JobRunner>());
    }

    /// <summary>Adds the routes.</summary>
    public static void MapJobs(this WebApplication app)
    {
        if (!app.Services.GetRequiredService<IOptions<JobOptions>>().Value.Enabled)
        {
            return;
        }

        var routes = app.MapGroup("/v1/audio/jobs").WithTags("Jobs").WithMetadata(OpenAiErrors.Dialect);
        routes
            .MapPost("", Create)
            .WithSummary("Creates a job that speaks a long text into a file")
            .WithDescription(CreateDescription)
            .TakesForm(JobRequests.Fields)
            .AlsoTakes<JobBody>("application/json")
            .Produces<Job>(202)
            .WithErrors<OpenAiErrorBody>(400, 401, 404, 413, 429, 503, 507);
        routes
            .MapGet(
                "",
                (JobStore store, ApiKeys keys, HttpContext http) =>
                {
                    var owner = keys.OwnerOf(http);
                    var own = store.All.Where(job => JobStore.Sees(owner, job)).OrderByDescending(job => job.Plan.CreatedAt);
                    return new JobList("list", [.. own.Select(job => job.Describe(store.Keep))]);
                }
            )
            .WithSummary("Lists the jobs of the client")
            .WithErrors<OpenAiErrorBody>(401);
        routes
            .MapGet(
                "/{id}",
                (string id, JobStore store, ApiKeys keys, HttpContext http) => Find(id, store, keys, http).Describe(store.Keep)
            )
            .WithSummary("Describes a job")
            .WithErrors<OpenAiErrorBody>(401, 404);
        routes
            .MapGet(
                "/{id}/events",
                (string id, JobStore store, ApiKeys keys, HttpContext http) =>
                    new SseResult<Job>(Watch(Find(id, store, keys, http), store.Keep), Json.Of<Job>())
            )
            .WithSummary("A job, and again with each change, as events, until it has ended")
            .Produces<Job>(200, "text/event-stream")
            .WithErrors<OpenAiErrorBody>(401, 404);
        routes
            .MapPost(
                "/{id}/pause",
                (string id, JobStore store, ApiKeys keys, HttpContext http) => Pause(Find(id, store, keys, http), store)
            )
            .WithSummary("Pauses a job; what is generated stays")
            .WithErrors<OpenAiErrorBody>(401, 404, 409);
        routes
            .MapPost(
                "/{id}/resume",
                (string id, JobStore store, JobRunner runner, ApiKeys keys, HttpContext http) =>
                    Resume(Find(id, store, keys, http), store, runner)
            )
            .WithSummary("Continues a job that is paused or has failed")
            .WithErrors<OpenAiErrorBody>(401, 404, 409);
        routes
            .MapDelete(
                "/{id}",
                (string id, JobStore store, ApiKeys keys, HttpContext http) =>
                {
                    store.Delete(Find(id, store, keys, http));
                    return TypedResults.NoContent();
                }
            )
            .WithSummary("Cancels and deletes a job, with its file")
            .WithErrors<OpenAiErrorBody>(401, 404);
        routes
            .MapGet("/{id}/result", Result)
            .WithSummary("The file of a job that is done")
            .Produces<byte[]>(200, "audio/mpeg")
            .AlsoAnswers<byte[]>("audio/mp4", "application/zip", "audio/wav", "audio/opus", "audio/flac")
            .WithErrors<OpenAiErrorBody>(401, 404, 409);
    }

    private static async Task<Accepted<Job>> Create(JobRequests requests, JobStore store, JobRunner runner, ApiKeys keys, HttpContext http)
    {
        var job = await requests.CreateAsync(http, keys.OwnerOf(http));
        runner.Wake();
        http.Response.Headers["X-Chatterbox-Seed"] = job.Plan.Speech.Seed!.Value.ToString(CultureInfo.InvariantCulture);
        VoiceHeader.Set(http.Response.Headers, job.Plan.Speech.Voice.Name);
        return TypedResults.Accepted($"/v1/audio/jobs/{job.Plan.Id}", job.Describe(store.Keep));
    }

    private static AudioJob Find(string id, JobStore store, ApiKeys keys, HttpContext http) =>
        store.Find(id, keys.OwnerOf(http))
        ?? throw new RefusedException(new Refusal(404, "There is no such job. GET /v1/audio/jobs lists the jobs.", "id", "job_not_found"));

    private static async Task<Job> Pause(AudioJob job, JobStore store)
    {
        if (job.Record.State is not (JobState.Active or JobState.Paused))
        {
            throw Conflict(job, "Only a job that is worked on can be paused.");
        }

        await store.SetAsync(job, JobState.Paused);
        return job.Describe(store.Keep);
    }

    private static async Task<Job> Resume(AudioJob job, JobStore store, JobRunner runner)
    {
        if (job.Record.State == JobState.Done)
        {
            throw Conflict(job, "There is nothing left to do for it.");
        }

        if (job.Record.State != JobState.Active)
        {
            await store.SetAsync(job, JobState.Active);
            runner.Wake();
        }

        return job.Describe(store.Keep);
    }

    private static FileStreamHttpResult Result(string id, JobStore store, ApiKeys keys, HttpContext http)
    {
        var job = Find(id, store, keys, http);
        if (job.Record.State != JobState.Done)
        {
            throw Conflict(job, $"Its file is not complete. GET /v1/audio/jobs/{id}/events tells when it is.");
        }

        try
        {
            const FileShare others = FileShare.ReadWrite | FileShare.Delete;
            var file = new FileStream(job.ResultPath, FileMode.Open, FileAccess.Read, others, 1 << 16, useAsync: true);
            var name = $"{job.Plan.Id}.{job.Plan.Format.Name}";
            return TypedResults.Stream(file, job.Plan.Format.ContentType, name, enableRangeProcessing: true);
        }
        catch (Exception e) when (e is FileNotFoundException or DirectoryNotFoundException)
        {
            throw new RefusedException(new Refusal(404, "The job has just been deleted.", "id", "job_not_found"));
        }
    }

    private static RefusedException Conflict(AudioJob job, string advice) =>
        new(new Refusal(StatusCodes.Status409Conflict, $"The job is {job.Describe(keep: null).State}. {advice}", "id", "job_state"));

    /// <summary>A job now, and again when it changes, until it has ended; also now and then where nothing changes, so that the connection
    /// is kept.</summary>
    private static async IAsyncEnumerable<Job> Watch(
        AudioJob job,
        TimeSpan? keep,
        [EnumeratorCancellation] CancellationToken cancellationToken = default
    )
    {
        while (true)
        {
            var changed = job.Changed;
            var now = job.Describe(keep);
            yield return now;
            if (now.State is "done" or "failed" or "deleted")
            {
                yield break;
            }

            await Task.WhenAny(changed, Task.Delay(LongestSilence, cancellationToken));
            cancellationToken.ThrowIfCancellationRequested();
        }
    }
}
