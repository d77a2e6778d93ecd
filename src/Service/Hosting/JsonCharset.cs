using System.Text;
using Microsoft.Net.Http.Headers;

namespace Chatterbox.Service.Hosting;

/// <summary>Reads the charset of a JSON body as the standard writes it, in quotes too, which the framework's reader does not.</summary>
internal static class JsonCharset
{
    /// <summary>Adds it.</summary>
    public static void UseJsonCharset(this WebApplication app) =>
        app.Use(
            (http, next) =>
            {
                if (
                    MediaTypeHeaderValue.TryParse(http.Request.ContentType, out var type)
                    && type.Charset.HasValue
                    && type.SubTypeWithoutSuffix == "json"
                )
                {
                    var name = HeaderUtilities.RemoveQuotes(type.Charset).ToString();
                    if (!IsKnown(name))
                    {
                        throw new RefusedException(
                            new Refusal(400, "The body has a charset that this service does not know. Send UTF-8.", Code: "invalid_json")
                        );
                    }

                    type.Charset = name;
                    http.Request.ContentType = type.ToString();
                }

                return next(http);
            }
        );

    private static bool IsKnown(string charset)
    {
        try
        {
            return Encoding.GetEncoding(charset) is not null;
        }
        catch (ArgumentException)
        {
            return false;
        }
    }
}
