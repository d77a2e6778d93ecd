using System.Net;
using System.Net.Http.Json;
using System.Net.Sockets;
using Fuzz.Service;

namespace Chatterbox.Service.Tests;

/// <summary>The service as a process: killed, stopped, and with few files.</summary>
public sealed class ProcessTests
{
    private static readonly TimeSpan Limit = TimeSpan.FromMinutes(2);

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    [Fact]
    public async Task A_process_that_is_killed_leaves_whole_files()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "signals and /proc are Linux's");
        var report = await KillRun.RunAsync(
            kills: 3,
            File.ReadAllBytes(Path.Combine(TestService.Fixtures, "audio", "jfk_16k_mono.wav")),
            seed: 7
        );
        Assert.Empty(report.Faults);
    }

    [Fact]
    public async Task A_second_signal_ends_at_once_what_the_first_lets_finish()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "signals and /proc are Linux's");
        var folder = Directory.CreateTempSubdirectory("chatterbox-signal-");
        try
        {
            using var service = await ServiceProgram.StartAsync(
                folder.FullName,
                ("Service__ShutdownSeconds", "600"),
                ("Service__SlowReaderSeconds", "600")
            );
            using var http = TestClients.From("127.0.0.1", service.Address, receiveBuffer: 4096);
            // more than the buffers to a client that does not read hold
            var text = string.Concat(Enumerable.Repeat("Many words to hear. [pause:30s] ", 9));
            using var request = new HttpRequestMessage(HttpMethod.Post, "/v1/audio/speech")
            {
                Content = JsonContent.Create(
                    new
                    {
                        model = "tiny",
                        input = text,
                        voice = "default",
                        response_format = "pcm",
                    }
                ),
            };
            using var unread = await http.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, Cancel);
            Assert.Equal(HttpStatusCode.OK, unread.StatusCode);
            service.Signal("TERM");
            await Waits.Until(() => !Connects(service.Address)); // it has begun to stop
            Assert.True(service.IsAlive, service.Log);
            service.Signal("TERM");
            Assert.Equal(128 + 9, await service.EndAsync(Limit));
        }
        finally
        {
            folder.Delete(recursive: true);
        }
    }

    [Fact]
    public async Task More_idle_connections_than_files_do_not_end_the_process()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "signals and /proc are Linux's");
        var folder = Directory.CreateTempSubdirectory("chatterbox-files-");
        var idle = new List<Socket>();
        try
        {
            using var service = await ServiceProgram.StartWithFewFilesAsync(400, folder.FullName);
            for (var i = 0; i < 450; i++)
            {
                var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
                idle.Add(socket);
                await socket.ConnectAsync(service.Address.Host, service.Address.Port, Cancel);
            }

            // As long as the service closes those beyond its limit, another client's may be closed too.
            using var http = TestClients.From("127.0.0.2", service.Address);
            await Waits.Until(() => !service.IsAlive || Speaks(http));
            Assert.True(service.IsAlive, service.Log);
        }
        finally
        {
            idle.ForEach(socket => socket.Dispose());
            folder.Delete(recursive: true);
        }
    }

    private static bool Speaks(HttpClient http)
    {
        try
        {
            using var answer = http.PostAsync(new Uri("/speak", UriKind.Relative), JsonContent.Create(new { text = "Still here." }), Cancel)
                .GetAwaiter()
                .GetResult();
            return answer.StatusCode == HttpStatusCode.OK;
        }
        catch (HttpRequestException)
        {
            return false;
        }
    }

    private static bool Connects(Uri address)
    {
        using var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        try
        {
            socket.Connect(address.Host, address.Port);
            return true;
        }
        catch (SocketException)
        {
            return false;
        }
    }
}
