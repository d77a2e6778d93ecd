using System.Net;
using System.Net.Http.Headers;
using Chatterbox.Service.Hosting;
using Chatterbox.Service.Speak;
using Microsoft.Extensions.DependencyInjection;

namespace Chatterbox.Service.Tests;

/// <summary>Finished files: whole or not at all, and within a bound.</summary>
public sealed class FinishedFilesTests
{
    private const int Bound = 1 << 26; // the least that may be set

    [Fact]
    public async Task Beyond_the_bound_those_that_nobody_asked_for_longest_go()
    {
        await using var service = await TestService.Start(new() { ["Service:MaxAudioBytes"] = $"{Bound}" });
        var old = Put(service, hours: 3, bytes: 10 << 20);
        var asked = Put(service, hours: 4, bytes: 10 << 20);
        var recent = Put(service, hours: 1, bytes: 30 << 20);
        var foreign = Path.Combine(service.AudioFolder, "music.wav");
        File.WriteAllText(foreign, "not ours");
        await using var read = await service.Http.GetStreamAsync(Address(asked)); // which makes it the one asked for last
        Put(service, hours: 2, bytes: 20 << 20);
        service.Services.GetRequiredService<FinishedFiles>().Sweep();

        Assert.Equal([asked, recent], new[] { old, asked, recent }.Where(id => File.Exists(PathOf(service, id))));
        Assert.Equal(3, Directory.GetFiles(service.AudioFolder).Length);
        Assert.True(File.Exists(foreign));
        using var gone = await service.Http.GetAsync(Address(old));
        await gone.AssertSpeakError(HttpStatusCode.NotFound);
    }

    [Fact]
    public async Task What_is_being_read_is_read_to_its_end()
    {
        await using var service = await TestService.Start(new() { ["Service:MaxAudioHours"] = "1" });
        var id = Put(service, hours: 0, bytes: 40 << 20);
        using var answer = await service.Http.GetAsync(Address(id), HttpCompletionOption.ResponseHeadersRead);
        await Waits.Until(() => // the system notes the service's reading, until its client takes no more
        {
            File.SetLastAccessTimeUtc(PathOf(service, id), DateTime.UtcNow.AddHours(-2));
            service.Services.GetRequiredService<FinishedFiles>().Sweep();
            return !File.Exists(PathOf(service, id));
        });
        Assert.Equal(40 << 20, (await answer.Content.ReadAsByteArrayAsync()).Length);
    }

    [Fact]
    public async Task A_new_file_makes_room_for_itself()
    {
        await using var service = await TestService.Start(new() { ["Service:MaxAudioBytes"] = $"{Bound}" });
        var old = Put(service, hours: 3, bytes: Bound);
        service.Services.GetRequiredService<FinishedFiles>().Sweep(); // as at the start: it fits
        Assert.True(File.Exists(PathOf(service, old)));
        using var answer = await service.Post("/speak", new { text = "Make room." });
        var saved = (await answer.Json()).GetProperty("audio_url").GetString()!;
        Assert.False(File.Exists(PathOf(service, old)));
        Assert.Equal(HttpStatusCode.OK, (await service.Http.GetAsync(new Uri(saved, UriKind.Relative))).StatusCode);
    }

    [Fact]
    public async Task Files_stay_by_default_however_old()
    {
        await using var service = await TestService.Start();
        var id = Put(service, hours: 20_000, bytes: 1000);
        service.Services.GetRequiredService<FinishedFiles>().Sweep();
        Assert.True(File.Exists(PathOf(service, id)));
        Assert.Equal(10L << 30, new ServiceOptions().MaxAudioBytes);
    }

    [Fact]
    public async Task A_part_of_a_file_can_be_asked_for()
    {
        await using var service = await TestService.Start();
        var id = Put(service, hours: 0, bytes: 1000);
        using var request = new HttpRequestMessage(HttpMethod.Get, Address(id)) { Headers = { Range = new RangeHeaderValue(100, 199) } };
        using var answer = await service.Http.SendAsync(request);
        Assert.Equal(HttpStatusCode.PartialContent, answer.StatusCode);
        Assert.Equal(100, answer.Content.Headers.ContentLength);
    }

    [Fact]
    public async Task A_client_that_leaves_leaves_no_file()
    {
        await using var service = await TestService.Start();
        service.Model.Holds = true;
        using var leaves = new CancellationTokenSource();
        var left = service.Post("/speak", new { text = "Never mind." }, cancellationToken: leaves.Token);
        await Waits.Until(() => service.Model.IsWaiting);
        await leaves.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => left);
        await Waits.Until(() => service.Model.Cancelled.Count == 1);
        var forgotten = Path.Combine(service.AudioFolder, $".{Guid.NewGuid():N}.part"); // of a service that was killed
        File.WriteAllText(forgotten, "half");
        File.SetLastWriteTimeUtc(forgotten, DateTime.UtcNow.AddHours(-2));
        service.Services.GetRequiredService<FinishedFiles>().Sweep();
        Assert.Empty(Directory.GetFiles(service.AudioFolder));
    }

    private static string Put(TestService service, double hours, int bytes)
    {
        var id = Guid.NewGuid().ToString("N");
        using (var file = File.Create(PathOf(service, id)))
        {
            file.SetLength(bytes); // takes no room on the disk
        }

        File.SetLastAccessTimeUtc(PathOf(service, id), DateTime.UtcNow.AddHours(-hours));
        return id;
    }

    private static string PathOf(TestService service, string id) => Path.Combine(service.AudioFolder, $"{id}.wav");

    private static Uri Address(string id) => new($"/audio/{id}", UriKind.Relative);
}
