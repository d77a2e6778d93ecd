using System.Text.RegularExpressions;
using Chatterbox.Service.Hosting;

namespace Chatterbox.Service.OpenAi;

/// <summary>What becomes of the fields of a request that have no effect: they are named in the answer's header, or refused.</summary>
internal static partial class IgnoredFields
{
    private const string Header = "X-Chatterbox-Ignored";
    private const int MostNamed = 20;

    /// <summary>Fields that well-known clients send in addition to OpenAI's. They are accepted also where unknown fields are
    /// refused.</summary>
    private static readonly string[] Accepted = ["lang_code", "return_download_link", "user", "volume_multiplier"];

    /// <summary>Names the fields without effect in the answer's header.</summary>
    /// <exception cref="RefusedException">A field is unknown, and unknown fields are refused.</exception>
    public static void Report(SpeechBody body, StrictOptions strict, IHeaderDictionary headers)
    {
        var names = body.Others?.Keys.ToList() ?? [];
        if (strict.UnknownFields)
        {
            ThrowIfUnknown(body);
        }

        // Who the end user is has no effect anywhere; everything else was meant to change the speech.
        var ignored = names
            .Where(name => name != "user")
            .Concat(body.Instructions is null ? [] : ["instructions"])
            .Where(name => HeaderName().IsMatch(name))
            .Take(MostNamed)
            .ToList();
        if (ignored.Count > 0)
        {
            headers[Header] = string.Join(", ", ignored);
        }
    }

    /// <summary>Refuses a field that neither the route nor a well-known client knows.</summary>
    /// <exception cref="RefusedException">There is one.</exception>
    public static void ThrowIfUnknown(SpeechBody body)
    {
        if (body.Others?.Keys.Except(Accepted).FirstOrDefault() is { } unknown)
        {
            throw new RefusedException(RequestBody.UnknownField(unknown, typeof(SpeechBody)));
        }
    }

    [GeneratedRegex(@"^[A-Za-z0-9_.\-]{1,64}\z")]
    private static partial Regex HeaderName();
}
