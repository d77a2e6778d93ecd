using System.Globalization;
using Chatterbox.Engine;

namespace Chatterbox.Service.Streaming;

/// <summary>Tells who has to wait how many are ahead and how long it is likely to take.</summary>
internal static class QueueHeaders
{
    /// <summary>Sets the headers.</summary>
    public static void Set(HttpContext http, SpeechJob job)
    {
        http.Response.Headers["X-Chatterbox-Queue-Position"] = job.Position.ToString(CultureInfo.InvariantCulture);
        if (job.ExpectedWait is { } wait)
        {
            http.Response.Headers["X-Chatterbox-Expected-Wait"] = wait.TotalSeconds.ToString("0.0", CultureInfo.InvariantCulture);
        }
    }
}
